//! The page's lock file names no registry, so that any mirror serves.

use super::Finding;

/// What only a registry's address holds.
const MARKS: [&str; 3] = ["\"resolved\"", "://registry.", ".tgz\""];

/// Findings in the text of a `package-lock.json`.
pub(super) fn check(file: &str, text: &str) -> Vec<Finding> {
    let advice = "remove the registry's address: `npm install --omit-lockfile-registry-resolved`";
    text.lines()
        .zip(1..)
        .filter(|(line, _)| MARKS.iter().any(|mark| line.contains(mark)))
        .map(|(_, number)| Finding::new(file, number, advice))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_found_and_hashes_are_not() {
        let text = "{\n \"version\": \"1\",\n \"resolved\": \"https://a/b\",\n \"x\": \"https://registry.host/y\",\n \
                    \"integrity\": \"sha512-x\", \"url\": \"https://opencollective.com/a\"\n}";
        let lines: Vec<usize> = check("l", text)
            .iter()
            .map(|finding| finding.line)
            .collect();
        assert_eq!(lines, [3, 4]);
    }
}
