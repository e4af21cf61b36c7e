//! "Did you mean": the candidate that is spelt most like a word.

use unicode_security::confusable_detection::skeleton;

/// Returns true if two different texts look the same, such as `é` in one character and in two.
fn look_alike(text: &str, other: &str) -> bool {
    text != other && !(text.is_ascii() && other.is_ascii()) && skeleton(text).eq(skeleton(other))
}

/// Returns the question whether the candidate nearest to a word is meant; where both look the same, how they differ.
pub fn suggestion<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let near = nearest(word, candidates)?;
    if !look_alike(word, near) {
        return Some(format!("did you mean `{near}`?"));
    }
    let spelt = |text: &str, beside: &str| -> String {
        let is_plain = |letter: char| letter.is_ascii() || beside.contains(letter);
        text.chars()
            .map(|letter| if is_plain(letter) { letter.to_string() } else { letter.escape_unicode().to_string() })
            .collect()
    };
    let (written, known) = (spelt(word, near), spelt(near, word));
    Some(format!("did you mean `{near}`? It looks the same, but is written `{known}`, and this `{written}`"))
}

/// Returns the candidate nearest to a word, where one is near enough to be meant. Case does not count.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted: Vec<char> = word.to_lowercase().chars().collect();
    // A third of the word may differ, and in a word of two characters one.
    let limit = (wanted.len() / 3).max(usize::from(wanted.len() > 1));
    candidates
        .into_iter()
        .filter_map(|candidate| {
            if look_alike(word, candidate) {
                return Some((0, candidate));
            }
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
        check("cafe\u{301}", &["caff", "caf\u{e9}"], Some("caf\u{e9}"));
    }

    #[test]
    fn what_looks_the_same_is_spelt_out() {
        let check = |word: &str, candidate: &str, expected: Option<&str>| {
            assert_eq!(suggestion(word, [candidate]).as_deref(), expected, "{word}");
        };
        check("modle", "model", Some("did you mean `model`?"));
        check("colour", "model", None);
        check(
            "cafe\u{301}-1",
            "caf\u{e9}-1",
            Some(
                "did you mean `caf\u{e9}-1`? It looks the same, but is written `caf\\u{e9}-1`, and this `cafe\\u{301}-1`",
            ),
        );
        check(
            "s\u{ff57}-1",
            "sw-1",
            Some("did you mean `sw-1`? It looks the same, but is written `sw-1`, and this `s\\u{ff57}-1`"),
        );
    }
}
