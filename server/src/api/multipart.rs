//! `multipart/form-data` (RFC 7578), as far as `/query` takes it: small fields, and a query that is
//! uploaded as a file. The body has been read whole and is bounded.

use memchr::memmem;

/// Parts of a body; more are not looked at.
const PARTS_MAX: usize = 100;

/// A part of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part<'a> {
    /// Of the field.
    pub(super) name: String,
    /// It came with a file's name.
    pub(super) is_file: bool,
    pub(super) content: &'a [u8],
}

/// The parameter `boundary` of a `Content-Type`.
pub(super) fn boundary(content_type: &str) -> Option<String> {
    parameter(content_type, "boundary").filter(|text| !text.is_empty())
}

/// The parts of `body`; what is not well-formed ends the list.
pub(super) fn parts<'a>(body: &'a [u8], boundary: &str) -> Vec<Part<'a>> {
    let mut parts = Vec::new();
    let first = format!("--{boundary}");
    let next = format!("\r\n--{boundary}");
    let Some(at) = memmem::find(body, first.as_bytes()) else {
        return parts;
    };
    let mut rest = &body[at + first.len()..];
    while let Some(head) = rest.strip_prefix(b"\r\n") {
        if parts.len() >= PARTS_MAX {
            break;
        }
        let Some(end) = memmem::find(head, next.as_bytes()) else {
            break;
        };
        let (part, tail) = head.split_at(end);
        parts.extend(self::part(part));
        rest = &tail[next.len()..];
    }
    parts
}

/// A part, of its head and its content.
fn part(text: &[u8]) -> Option<Part<'_>> {
    let blank = memmem::find(text, b"\r\n\r\n")?;
    let head = std::str::from_utf8(&text[..blank]).ok()?;
    let disposition = head.split("\r\n").find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.trim()
            .eq_ignore_ascii_case("content-disposition")
            .then_some(value)
    })?;
    Some(Part {
        name: parameter(disposition, "name")?,
        is_file: parameter(disposition, "filename").is_some(),
        content: &text[blank + 4..],
    })
}

/// A parameter of a header's value, quoted or not.
fn parameter(value: &str, wanted: &str) -> Option<String> {
    let mut rest = value.split_once(';')?.1;
    loop {
        let (name, after) = rest.split_once('=')?;
        let (text, tail) = match after.trim_start().strip_prefix('"') {
            Some(quoted) => unquoted(quoted)?,
            None => {
                let end = after.find(';').unwrap_or(after.len());
                (after[..end].trim().to_owned(), &after[end..])
            }
        };
        if name.trim().eq_ignore_ascii_case(wanted) {
            return Some(text);
        }
        rest = tail.trim_start().strip_prefix(';')?;
    }
}

/// A text up to its closing quote, and what comes behind that.
fn unquoted(text: &str) -> Option<(String, &str)> {
    let mut out = String::new();
    let mut chars = text.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Some((out, &text[at + 1..])),
            '\\' => out.push(chars.next()?.1),
            char => out.push(char),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = b"preamble\r\n--x y\r\nContent-Disposition: form-data; name=\"db\"\r\n\r\nd\r\n--x y\r\n\
        content-disposition: form-data; filename=\"a;\\\".txt\"; name=q\r\nContent-Type: text/plain\r\n\r\n\
        SHOW\r\n--DATABASES\r\n--x y--\r\nend";

    #[test]
    fn fields_and_files_are_found() {
        let kind = "multipart/form-data; charset=utf-8; boundary=\"x y\"";
        let found = parts(BODY, &boundary(kind).unwrap());
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].name.as_str(), found[0].is_file), ("db", false));
        assert_eq!(found[0].content, b"d");
        assert_eq!((found[1].name.as_str(), found[1].is_file), ("q", true));
        assert_eq!(found[1].content, b"SHOW\r\n--DATABASES");
    }

    #[test]
    fn torn_bodies_give_what_is_whole() {
        for at in 0..BODY.len() {
            assert!(parts(&BODY[..at], "x y").len() <= 2);
        }
        assert_eq!(parts(b"", "x"), []);
        assert_eq!(parts(b"--x\r\n\r\n\r\n--x--", "x"), []);
        for bad in [
            "multipart/form-data",
            "a; boundary",
            "a; boundary=\"x",
            "a; boundary=",
        ] {
            assert_eq!(boundary(bad), None, "{bad}");
        }
    }
}
