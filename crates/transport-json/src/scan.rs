//! How deep JSON nests, which serde_json does not look at in what it passes over.

use std::io::BufRead as _;

/// Whether `json`, which is known to be valid, nests no deeper than `limit` maps and arrays.
pub(crate) fn nests_within(limit: usize, json: &[u8]) -> bool {
    let mut depth = 0_usize;
    let mut rest = json;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        match byte {
            b'"' => rest = after_string(rest),
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > limit {
            return false;
        }
    }
    true
}

/// What follows the string whose first quote was just passed.
fn after_string(mut rest: &[u8]) -> &[u8] {
    loop {
        let string = rest;
        // The way to std's memchr: a screenshot is one string of megabytes. Reading from a
        // slice cannot fail.
        let read = rest.skip_until(b'"').unwrap_or(0);
        let before = string[..read].strip_suffix(b"\"").unwrap_or(&[]);
        let backslashes = before.iter().rev().take_while(|byte| **byte == b'\\');
        if backslashes.count() % 2 == 0 {
            return rest;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_in_strings_do_not_count() {
        for string in [r#""[[""#, r#""\"[[""#, r#""\\\"[[\\""#, r#""]\\""#, r#""""#] {
            let json = format!("[{string},[{string}],{{{string}:{string}}},[1]]");
            assert!(nests_within(2, json.as_bytes()), "{json}");
            assert!(!nests_within(1, json.as_bytes()), "{json}");
        }
    }

    #[test]
    fn the_limit_itself_is_allowed() {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let json = open.repeat(5) + "0" + &close.repeat(5);
            assert!(nests_within(5, json.as_bytes()));
            assert!(!nests_within(4, json.as_bytes()));
        }
        assert!(nests_within(1, b"[]"));
        assert!(!nests_within(0, b"[]"));
    }
}
