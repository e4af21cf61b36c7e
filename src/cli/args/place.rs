//! A place in a file, as `explain` takes it.

use std::str::FromStr;

/// A place as people name it: `FILE:LINE` or `FILE:LINE:COLUMN`, both from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) struct Place {
    /// The file.
    pub(in crate::cli) file: String,
    /// The line.
    pub(in crate::cli) line: usize,
    /// The column in characters; without it all values of the line are meant.
    pub(in crate::cli) column: Option<usize>,
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let cut = |text: &str| -> Option<(String, usize)> {
            let (before, number) = text.rsplit_once(':')?;
            let number = number.parse().ok().filter(|number| *number > 0)?;
            (!before.is_empty()).then(|| (before.to_owned(), number))
        };
        let (rest, last) = cut(text).ok_or("it is not FILE:LINE or FILE:LINE:COLUMN, both from 1")?;
        Ok(match cut(&rest) {
            Some((file, line)) => Self { file, line, column: Some(last) },
            None => Self { file: rest, line: last, column: None },
        })
    }
}
