//! Pairs the rows of a declared list with those of a live one.
//!
//! Three rules, each only for what the one before left open: rows that are equal pair first, such that most pair;
//! then the pairs with the fewest changes, at least one part kept; ties go to the lower position.

/// How much of a pair would have to change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// Nothing.
    Equal,
    /// So many parts; at least one is kept.
    Edit(u32),
    /// They do not belong together.
    Never,
}

/// Returns for each declared row the live row that it means, `None` for a new row.
pub fn pair(declared: usize, live: usize, fit: impl Fn(usize, usize) -> Fit) -> Vec<Option<usize>> {
    if declared == 0 {
        return Vec::new();
    }
    // The rules as one sum to be made least, each rule weighing more than all later ones together. The columns
    // behind the live rows stand for "new".
    let weight = Weight::of(declared, live);
    let columns = live + declared;
    let cost: Vec<Vec<i128>> = (0..declared)
        .map(|row| {
            (0..columns)
                .map(|column| if column < live { weight.pair(row, column, fit(row, column)) } else { weight.new_row })
                .collect()
        })
        .collect();
    let mut chosen = least(&cost);
    for column in &mut chosen {
        *column = column.filter(|column| *column < live);
    }
    chosen
}

struct Weight {
    position: i128,
    change: i128,
    new_row: i128,
    equal: i128,
    never: i128,
}

impl Weight {
    fn of(declared: usize, live: usize) -> Self {
        let size = declared.max(live) as i128 + 1;
        let position = size * size * size;
        let change = position * size * size;
        let new_row = change * size * 16;
        let equal = new_row * size * 2;
        Self { position, change, new_row, equal, never: equal * size * 2 }
    }

    fn pair(&self, row: usize, column: usize, fit: Fit) -> i128 {
        let (row, column) = (row as i128, column as i128);
        let tie = column * self.position - row * column;
        match fit {
            Fit::Equal => tie - self.equal,
            Fit::Edit(changes) => tie + i128::from(changes) * self.change,
            Fit::Never => self.never,
        }
    }
}

/// The assignment problem (Kuhn–Munkres with potentials): one column for each row at the least total cost. There are
/// at least as many columns as rows.
fn least(cost: &[Vec<i128>]) -> Vec<Option<usize>> {
    let (rows, columns) = (cost.len(), cost[0].len());
    let (mut row_potential, mut column_potential) = (vec![0_i128; rows + 1], vec![0_i128; columns + 1]);
    let mut row_of = vec![0_usize; columns + 1];
    for row in 1..=rows {
        row_of[0] = row;
        let mut column = 0;
        let mut slack = vec![i128::MAX; columns + 1];
        let mut reached = vec![false; columns + 1];
        let mut came_from = vec![0_usize; columns + 1];
        while row_of[column] != 0 {
            reached[column] = true;
            let current = row_of[column];
            let (mut step, mut next) = (i128::MAX, 0);
            for candidate in 1..=columns {
                if reached[candidate] {
                    continue;
                }
                let reduced = cost[current - 1][candidate - 1] - row_potential[current] - column_potential[candidate];
                if reduced < slack[candidate] {
                    slack[candidate] = reduced;
                    came_from[candidate] = column;
                }
                if slack[candidate] < step {
                    step = slack[candidate];
                    next = candidate;
                }
            }
            for candidate in 0..=columns {
                if reached[candidate] {
                    row_potential[row_of[candidate]] += step;
                    column_potential[candidate] -= step;
                } else if slack[candidate] != i128::MAX {
                    slack[candidate] -= step;
                }
            }
            column = next;
        }
        while column != 0 {
            row_of[column] = row_of[came_from[column]];
            column = came_from[column];
        }
    }
    let mut chosen = vec![None; rows];
    for (column, row) in row_of.iter().enumerate().skip(1) {
        if *row != 0 {
            chosen[row - 1] = Some(column - 1);
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fit(declared: [Option<u8>; 3], live: [u8; 3]) -> Fit {
        let written: Vec<_> =
            declared.iter().zip(live).filter_map(|(part, live)| part.map(|part| part == live)).collect();
        let changes = written.iter().filter(|equal| !**equal).count();
        match changes {
            0 => Fit::Equal,
            _ if changes == written.len() => Fit::Never,
            _ => Fit::Edit(u32::try_from(changes).expect("three parts")),
        }
    }

    fn check(declared: &[[u8; 3]], live: &[[u8; 3]], expected: &[Option<usize>]) {
        let declared: Vec<_> = declared.iter().map(|row| row.map(Some)).collect();
        assert_eq!(pair(declared.len(), live.len(), |row, column| fit(declared[row], live[column])), expected);
    }

    #[test]
    fn pairs() {
        check(&[], &[[1, 1, 1]], &[]);
        check(&[[1, 1, 1]], &[], &[None]);
        check(&[[1, 2, 3], [4, 5, 6]], &[[4, 5, 6], [1, 2, 3]], &[Some(1), Some(0)]);
        // An edit, one that has nothing in common, and equal rows that pair in order.
        check(&[[1, 9, 3]], &[[7, 7, 7], [1, 2, 3]], &[Some(1)]);
        check(&[[9, 9, 9]], &[[1, 2, 3]], &[None]);
        check(&[[1, 1, 1], [1, 1, 1]], &[[1, 1, 1], [1, 1, 1], [1, 1, 1]], &[Some(0), Some(1)]);
        // The equal row is not given up for a cheaper sum elsewhere.
        check(&[[1, 1, 1], [1, 1, 2]], &[[1, 1, 2]], &[None, Some(0)]);
    }

    /// Returns the costs of an assignment, as a tuple that is to be least.
    fn score(chosen: &[Option<usize>], fits: &[Vec<Fit>]) -> (i64, i64, i64, i64, i64) {
        let mut score = (0, 0, 0, 0, 0);
        for (row, column) in chosen.iter().enumerate() {
            let Some(column) = *column else {
                score.1 += 1;
                continue;
            };
            match fits[row][column] {
                Fit::Equal => score.0 -= 1,
                Fit::Edit(changes) => score.2 += i64::from(changes),
                Fit::Never => return (i64::MAX, 0, 0, 0, 0),
            }
            let (row, column) = (i64::try_from(row).expect("few"), i64::try_from(column).expect("few"));
            score.3 += column;
            score.4 -= row * column;
        }
        score
    }

    fn every(rows: usize, live: usize) -> Vec<Vec<Option<usize>>> {
        (0..rows).fold(vec![Vec::new()], |all, _| {
            all.into_iter()
                .flat_map(|head: Vec<Option<usize>>| {
                    let free: Vec<_> =
                        (0..live).map(Some).filter(|column| !head.contains(column)).chain([None]).collect();
                    free.into_iter().map(move |column| head.iter().copied().chain([column]).collect())
                })
                .collect()
        })
    }

    fn part(most: u8) -> impl Strategy<Value = Option<u8>> {
        prop::option::weighted(0.8, 0..most)
    }

    proptest! {
        #[test]
        fn equals_brute_force(
            declared in prop::collection::vec([part(3), part(3), part(2)], 0..5),
            live in prop::collection::vec([0..3_u8, 0..3_u8, 0..2_u8], 0..6),
        ) {
            let fits: Vec<Vec<_>> =
                declared.iter().map(|row| live.iter().map(|column| fit(*row, *column)).collect()).collect();
            let chosen = pair(declared.len(), live.len(), |row, column| fits[row][column]);
            let best =
                every(declared.len(), live.len()).iter().map(|list| score(list, &fits)).min().expect("one at least");
            prop_assert_eq!(score(&chosen, &fits), best);
        }
    }
}
