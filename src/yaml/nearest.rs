//! "Did you mean": the candidate that is spelt most like a word.

/// Returns the candidate nearest to a word, where one is near enough to be meant. Case does not count.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted: Vec<char> = word.to_lowercase().chars().collect();
    // A third of the word may differ, and in a word of two characters one.
    let limit = (wanted.len() / 3).max(usize::from(wanted.len() > 1));
    candidates
        .into_iter()
        .filter_map(|candidate| {
            let letters: Vec<char> = candidate.to_lowercase().chars().collect();
            if letters.len().abs_diff(wanted.len()) > limit {
                return None;
            }
            let distance = distance(&wanted, &letters);
            // Two words of the same length with no letter in common are not near.
            (distance <= limit && distance < letters.len().max(wanted.len())).then_some((distance, candidate))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Counts the letters to add, drop, replace or swap with the next one to get from one word to the other.
fn distance(from: &[char], to: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut previous: Vec<usize> = (0..=to.len()).collect();
    for (row, letter) in from.iter().enumerate() {
        let mut current = vec![row + 1];
        for (column, other) in to.iter().enumerate() {
            let mut cost = (previous[column] + usize::from(letter != other))
                .min(previous[column + 1] + 1)
                .min(current[column] + 1);
            if row > 0 && column > 0 && *letter == to[column - 1] && from[row - 1] == *other {
                cost = cost.min(before[column - 1] + 1);
            }
            current.push(cost);
        }
        before = std::mem::replace(&mut previous, current);
    }
    previous[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_finds_slips() {
        let check = |word: &str, candidates: &[&str], expected: Option<&str>| {
            assert_eq!(nearest(word, candidates.iter().copied()), expected, "{word}");
        };
        check("modle", &["match", "model", "fields"], Some("model"));
        check("buisness", &["business", "set"], Some("business"));
        check("Model", &["model"], Some("model"));
        check("spc", &["spec", "apiVersion"], Some("spec"));
        check("colour", &["model", "match"], None);
        check("x", &["y"], None);
        check("id", &["ip"], Some("ip"));
        check("ab", &["cd"], None);
        check("", &["a"], None);
        check("交换机一", &["交换机二", "路由器"], Some("交换机二"));
        check("核心交换", &["核心交换机"], Some("核心交换机"));
    }
}
