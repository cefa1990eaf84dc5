//! Files of settings with places to be filled: `@NAME@`.

use anyhow::{Result, bail};

/// Every place is filled; one that is not known is an error.
pub(super) fn fill(template: &str, places: &[(&str, String)]) -> Result<String> {
    let mut filled = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, behind)) = rest.split_once('@') {
        filled.push_str(before);
        let Some((name, after)) = behind.split_once('@') else {
            bail!("a place that does not end");
        };
        let Some((_, value)) = places.iter().find(|(known, _)| *known == name) else {
            bail!("nothing fills @{name}@");
        };
        filled.push_str(value);
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_filled_and_unknown_ones_are_errors() {
        let places = [("PORT", "80".to_owned()), ("DIR", "/d".to_owned())];
        let filled = fill("listen @PORT@;\nroot @DIR@/@PORT@;\n", &places).unwrap();
        assert_eq!(filled, "listen 80;\nroot /d/80;\n");
        assert!(fill("@OTHER@", &places).is_err());
        assert!(fill("user@host", &places).is_err());
    }
}
