//! "Did you mean": the known name nearest to one that is not known.

/// A sentence about a `kind` that is called `wrong` but does not exist, with the way out.
pub(crate) fn unknown<'a>(kind: &str, wrong: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    const SHOWN: usize = 5;
    if let Some(near) = nearest(wrong, known.clone()) {
        return format!("there is no {kind} `{wrong}`; did you mean `{near}`?");
    }
    let names: Vec<String> = known.clone().take(SHOWN).map(|name| format!("`{name}`")).collect();
    match (names.len(), known.count()) {
        (0, _) => format!("there is no {kind} `{wrong}`; no {kind} is defined yet"),
        (1, _) => format!("there is no {kind} `{wrong}`; the only {kind} is {}", names[0]),
        (shown, all) if shown < all => {
            format!("there is no {kind} `{wrong}`; known are {} and {} more", names.join(", "), all - shown)
        }
        _ => format!("there is no {kind} `{wrong}`; known are {}", names.join(", ")),
    }
}

/// The candidate that takes the fewest edits, if that is few for a word of this length.
fn nearest<'a>(wrong: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (wrong.chars().count() / 3).max(1);
    known
        .map(|name| (distance(wrong, name), name))
        .filter(|(edits, _)| *edits <= allowed)
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, name)| name)
}

/// Edits (insert, remove, replace) between two words, by Wagner and Fischer, one row at a time; case does not count.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().flat_map(char::to_lowercase).collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (line, from) in left.chars().flat_map(char::to_lowercase).enumerate() {
        let mut diagonal = line;
        row[0] = line + 1;
        for (column, to) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_edits() {
        for (left, right, edits) in
            [("", "", 0), ("web", "web", 0), ("Web", "web", 0), ("", "abc", 3), ("kitten", "sitting", 3)]
        {
            assert_eq!(distance(left, right), edits, "{left} {right}");
            assert_eq!(distance(right, left), edits, "{right} {left}");
        }
    }

    #[test]
    fn suggests_only_what_is_near() {
        let known = ["products", "web", "postgres"];
        assert_eq!(nearest("prodcts", known.into_iter()), Some("products"));
        assert_eq!(nearest("wbe", known.into_iter()), None);
        assert_eq!(nearest("we", known.into_iter()), Some("web"));
        assert_eq!(nearest("gpu", known.into_iter()), None);
    }

    #[test]
    fn says_what_exists_when_nothing_is_near() {
        assert_eq!(unknown("pool", "gpu", [].into_iter()), "there is no pool `gpu`; no pool is defined yet");
        assert_eq!(unknown("pool", "gpu", ["web"].into_iter()), "there is no pool `gpu`; the only pool is `web`");
        let many = ["aaaa", "bbbb", "cccc", "dddd", "eeee", "ffff", "hhhh"];
        assert!(unknown("pool", "gpu", many.into_iter()).ends_with("`eeee` and 2 more"));
    }
}
