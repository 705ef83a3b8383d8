//! Which form of answer a request asks for (`Accept`).

/// A form that an answer can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// `application/json`, and whatever is not known.
    Json,
    /// CSV, under either of its names.
    Csv {
        /// The name that was asked for.
        content_type: &'static str,
    },
    /// `application/x-msgpack`.
    Msgpack,
}

const OFFERS: [(&str, &str, Format); 4] = [
    ("application", "json", Format::Json),
    (
        "application",
        "csv",
        Format::Csv {
            content_type: "application/csv",
        },
    ),
    (
        "text",
        "csv",
        Format::Csv {
            content_type: "text/csv",
        },
    ),
    ("application", "x-msgpack", Format::Msgpack),
];

impl Format {
    /// Chooses by the values of all `Accept` headers: the highest `q` first, wildcards after names.
    pub(crate) fn negotiate<'a>(headers: impl Iterator<Item = &'a str>) -> Self {
        let mut wishes: Vec<_> = headers
            .flat_map(|header| header.split(','))
            .filter_map(wish)
            .collect();
        wishes.sort_by(|a, b| {
            b.quality
                .total_cmp(&a.quality)
                .then(a.wildcards().cmp(&b.wildcards()))
        });
        let granted = |wish: &Wish<'_>| {
            let fits =
                |wanted: &str, offered: &str| wanted == "*" || wanted.eq_ignore_ascii_case(offered);
            let offer = OFFERS
                .iter()
                .find(|(kind, sub, _)| fits(wish.kind, kind) && fits(wish.sub, sub));
            offer.map(|(_, _, format)| *format)
        };
        wishes.iter().find_map(granted).unwrap_or(Self::Json)
    }

    /// The value of `Content-Type`.
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Csv { content_type } => content_type,
            Self::Msgpack => "application/x-msgpack",
        }
    }
}

struct Wish<'a> {
    kind: &'a str,
    sub: &'a str,
    quality: f32,
}

impl Wish<'_> {
    fn wildcards(&self) -> usize {
        usize::from(self.kind == "*") + usize::from(self.sub == "*")
    }
}

fn wish(text: &str) -> Option<Wish<'_>> {
    let mut parts = text.split(';').map(str::trim);
    let (kind, sub) = parts.next()?.split_once('/')?;
    let quality = parts
        .find_map(|part| part.strip_prefix("q="))
        .and_then(|q| q.parse().ok())
        .unwrap_or(1.0);
    (quality > 0.0).then_some(Wish { kind, sub, quality })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(accept: &str) -> &'static str {
        Format::negotiate(std::iter::once(accept)).content_type()
    }

    #[test]
    fn what_is_not_known_is_json() {
        for accept in [
            "",
            "*/*",
            "text/html",
            "nonsense",
            "application/*",
            "text/plain, */*;q=0.1",
        ] {
            assert_eq!(choose(accept), "application/json", "{accept}");
        }
        assert_eq!(Format::negotiate(std::iter::empty()), Format::Json);
    }

    #[test]
    fn csv_has_two_names_and_quality_decides() {
        assert_eq!(choose("text/csv"), "text/csv");
        assert_eq!(choose("application/x-msgpack"), "application/x-msgpack");
        assert_eq!(choose("Application/CSV"), "application/csv");
        assert_eq!(choose("text/*"), "text/csv");
        assert_eq!(
            choose("text/csv;q=0.5, application/json"),
            "application/json"
        );
        assert_eq!(choose("application/json;q=0.2,text/csv;q=0.9"), "text/csv");
        assert_eq!(choose("*/*,text/csv"), "text/csv");
        assert_eq!(choose("text/csv;q=0"), "application/json");
    }
}
