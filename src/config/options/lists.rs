//! Lists of values, and the two forms of an error about an option.
//!
//! What an item means is its reader's business.

use std::str::FromStr;

use getopts::Matches;

use super::super::ConfigError;

/// Items of one list at most. Rules are searched one after the other for each connection.
pub(super) const ITEMS_MAX: usize = 256;

/// An error about the option as a whole.
pub(super) fn against(option: &str, why: &'static str) -> ConfigError {
    ConfigError::Option {
        option: format!("--{option}"),
        why,
    }
}

/// An error about one value.
pub(super) fn bad(option: &'static str, value: &str, why: &'static str) -> ConfigError {
    ConfigError::Value {
        option,
        value: value.to_string(),
        why,
    }
}

/// The items of a list option, all its occurrences together, in their order; none is empty.
pub(super) fn items(
    matches: &Matches,
    option: &'static str,
    items_max: usize,
    too_many: &'static str,
) -> Result<Vec<String>, ConfigError> {
    let mut items = Vec::new();
    for list in matches.opt_strs(option) {
        for item in list.split(',') {
            let item = item.trim();
            if item.is_empty() {
                return Err(bad(option, &list, "an item of the list is empty"));
            }
            if items.len() == items_max {
                return Err(bad(option, item, too_many));
            }
            items.push(item.to_string());
        }
    }
    Ok(items)
}

/// A list of networks or destinations.
pub(super) fn list<T: FromStr<Err = &'static str>>(
    matches: &Matches,
    option: &'static str,
) -> Result<Vec<T>, ConfigError> {
    let mut list = Vec::new();
    for item in items(matches, option, ITEMS_MAX, "one more than 256")? {
        list.push(item.parse().map_err(|why| bad(option, &item, why))?);
    }
    Ok(list)
}
