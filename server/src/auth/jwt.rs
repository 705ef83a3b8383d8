//! JSON Web Tokens, as InfluxDB takes them: signed with HMAC and the shared secret, with an `exp` and a
//! `username`.
//!
//! The order of the checks and their texts are those of InfluxDB 1.6 and 1.8 (dgrijalva/jwt-go 3), as a real one
//! answers. Where that repeats its JSON decoder's words on a token that is no JSON, the text here
//! is `invalid token`.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Map, Value};
use sha2::{Sha256, Sha384, Sha512};
use tandem_http::Secret;

/// From here on InfluxDB's 64-bit seconds overflow, and a token is expired.
const SECONDS_END: f64 = 9_223_372_036_854_775_808.0;

/// The user whom `token` names, at `now_s` seconds since 1970; else the text of the answer with 401.
pub(super) fn username(token: &str, secret: &Secret, now_s: u64) -> Result<String, String> {
    let parts: Vec<&str> = token.split('.').collect();
    let &[head_part, claims_part, signature_part] = &parts[..] else {
        return refuse("token contains an invalid number of segments");
    };
    let head = object(&decode(head_part)?, Trailing::Refused)?;
    let claims = object(&decode(claims_part)?, Trailing::Ignored)?;
    let signer = match head.get("alg") {
        Some(Value::String(name)) => Signer::named(name)?,
        _ => return refuse("signing method (alg) is unspecified."),
    };
    let in_time = check_times(&claims, now_s);
    let signed = token
        .len()
        .checked_sub(signature_part.len() + 1)
        .and_then(|end| token.get(..end))
        .unwrap_or_default();
    let signature = decode(signature_part)?;
    if !signer.verify(secret.expose().as_bytes(), signed.as_bytes(), &signature) {
        return refuse("signature is invalid");
    }
    in_time?;
    if !claims
        .get("exp")
        .and_then(Value::as_f64)
        .is_some_and(|exp| exp != 0.0)
    {
        return refuse("token expiration required");
    }
    match claims.get("username") {
        Some(Value::String(name)) if name.is_empty() => refuse("token must contain a username"),
        Some(Value::String(name)) => Ok(name.clone()),
        _ => refuse("username in token must be a string"),
    }
}

/// The ways to sign that are taken.
#[derive(Clone, Copy, Debug)]
enum Signer {
    Hs256,
    Hs384,
    Hs512,
}

impl Signer {
    fn named(name: &str) -> Result<Self, String> {
        match name {
            "HS256" => Ok(Self::Hs256),
            "HS384" => Ok(Self::Hs384),
            "HS512" => Ok(Self::Hs512),
            // These are known, and would let someone else than the holder of the secret sign.
            "none" | "RS256" | "RS384" | "RS512" | "PS256" | "PS384" | "PS512" | "ES256"
            | "ES384" | "ES512" => Err(format!("unexpected signing method: {name}")),
            _ => refuse("signing method (alg) is unavailable."),
        }
    }

    /// In a time that does not depend on where a wrong signature differs.
    fn verify(self, secret: &[u8], signed: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Hs256 => is_signed::<Hmac<Sha256>>(secret, signed, signature),
            Self::Hs384 => is_signed::<Hmac<Sha384>>(secret, signed, signature),
            Self::Hs512 => is_signed::<Hmac<Sha512>>(secret, signed, signature),
        }
    }
}

fn is_signed<M: Mac + KeyInit>(secret: &[u8], signed: &[u8], signature: &[u8]) -> bool {
    let Ok(mut mac) = <M as KeyInit>::new_from_slice(secret) else {
        return false;
    };
    mac.update(signed);
    mac.verify_slice(signature).is_ok()
}

/// The last complaint counts, as in InfluxDB. Times that are no numbers are not looked at.
fn check_times(claims: &Map<String, Value>, now_s: u64) -> Result<(), String> {
    let time = |name| claims.get(name).and_then(Value::as_f64);
    #[expect(
        clippy::cast_precision_loss,
        reason = "seconds since 1970 are exact in a double for 285 million years"
    )]
    let now = now_s as f64;
    let mut outcome = Ok(());
    if let Some(exp) = time("exp").filter(|exp| *exp != 0.0)
        && (exp.trunc() < now || exp >= SECONDS_END)
    {
        outcome = refuse("Token is expired");
    }
    for (name, text) in [
        ("iat", "Token used before issued"),
        ("nbf", "Token is not valid yet"),
    ] {
        if time(name).is_some_and(|from| from.trunc() > now) {
            outcome = refuse(text);
        }
    }
    outcome
}

fn decode(part: &str) -> Result<Vec<u8>, String> {
    URL_SAFE_NO_PAD.decode(part).map_err(|error| {
        let at = match error {
            base64::DecodeError::InvalidByte(at, _) => at,
            _ => part.len(),
        };
        format!("illegal base64 data at input byte {at}")
    })
}

/// What may stand behind the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trailing {
    Ignored,
    Refused,
}

/// A JSON object, or `null` for an empty one.
fn object(json: &[u8], trailing: Trailing) -> Result<Map<String, Value>, String> {
    let mut values = serde_json::Deserializer::from_slice(json).into_iter::<Value>();
    let first = values.next();
    if trailing == Trailing::Refused && values.next().is_some() {
        return refuse("invalid token");
    }
    match first {
        Some(Ok(Value::Object(object))) => Ok(object),
        Some(Ok(Value::Null)) => Ok(Map::new()),
        _ => refuse("invalid token"),
    }
}

fn refuse<T>(text: &str) -> Result<T, String> {
    Err(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_700_000_000;

    fn sign(head: &str, claims: &str, secret: &str) -> String {
        let signed = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(head),
            URL_SAFE_NO_PAD.encode(claims)
        );
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(signed.as_bytes());
        let signature = URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
        format!("{signed}.{signature}")
    }

    fn named(token: &str) -> Result<String, String> {
        username(token, &Secret::new("s3cr3t"), NOW)
    }

    fn claims(claims: &str) -> String {
        let token = sign("{\"alg\":\"HS256\",\"typ\":\"JWT\"}", claims, "s3cr3t");
        named(&token).unwrap_or_else(|error| format!("! {error}"))
    }

    /// Each as a real InfluxDB 1.6.7 answers.
    #[test]
    fn claims_are_checked_as_by_influxdb() {
        for (json, want) in [
            ("{\"username\":\"root\",\"exp\":1700000001}", "root"),
            ("{\"username\":\"root\",\"exp\":1700000000.5}", "root"),
            ("{\"username\":\"root\",\"exp\":1e18}", "root"),
            (
                "{\"username\":\"no\",\"username\":\"root\",\"exp\":1e18} {}",
                "root",
            ),
            (
                "{\"username\":\"root\",\"exp\":1e18,\"nbf\":1699999999,\"iat\":1}",
                "root",
            ),
            ("{\"username\":\"root\",\"exp\":1e18,\"nbf\":\"x\"}", "root"),
            (
                "{\"username\":\"root\",\"exp\":1699999999}",
                "! Token is expired",
            ),
            ("{\"username\":\"root\",\"exp\":-1}", "! Token is expired"),
            ("{\"username\":\"root\",\"exp\":1e19}", "! Token is expired"),
            (
                "{\"username\":\"root\",\"exp\":9223372036854775807}",
                "! Token is expired",
            ),
            ("{\"username\":\"root\"}", "! token expiration required"),
            (
                "{\"username\":\"root\",\"exp\":0}",
                "! token expiration required",
            ),
            (
                "{\"username\":\"root\",\"exp\":\"1e18\"}",
                "! token expiration required",
            ),
            (
                "{\"username\":\"root\",\"exp\":null}",
                "! token expiration required",
            ),
            ("{}", "! token expiration required"),
            ("null", "! token expiration required"),
            (
                "{\"username\":\"root\",\"exp\":1e18,\"nbf\":1700000300}",
                "! Token is not valid yet",
            ),
            (
                "{\"username\":\"root\",\"exp\":1e18,\"iat\":1700000300}",
                "! Token used before issued",
            ),
            (
                "{\"username\":\"root\",\"exp\":5,\"nbf\":1700000300}",
                "! Token is not valid yet",
            ),
            (
                "{\"username\":\"root\",\"exp\":5,\"iat\":1700000300}",
                "! Token used before issued",
            ),
            ("{\"exp\":1e18}", "! username in token must be a string"),
            (
                "{\"username\":1,\"exp\":1e18}",
                "! username in token must be a string",
            ),
            (
                "{\"username\":\"\",\"exp\":1e18}",
                "! token must contain a username",
            ),
            ("[1]", "! invalid token"),
            ("", "! invalid token"),
        ] {
            assert_eq!(claims(json), want, "{json}");
        }
    }

    #[test]
    fn heads_and_signatures_are_checked_as_by_influxdb() {
        let good = "{\"username\":\"root\",\"exp\":1e18}";
        let expired = "{\"username\":\"root\",\"exp\":5}";
        let head = "{\"alg\":\"HS256\"}";
        for (token, want) in [
            (sign(head, good, "other"), "signature is invalid"),
            (sign(head, expired, "other"), "signature is invalid"),
            (
                sign("{\"alg\":\"none\"}", good, "s3cr3t"),
                "unexpected signing method: none",
            ),
            (
                sign("{\"alg\":\"RS256\"}", good, "s3cr3t"),
                "unexpected signing method: RS256",
            ),
            (
                sign("{\"alg\":\"XX\"}", good, "s3cr3t"),
                "signing method (alg) is unavailable.",
            ),
            (
                sign("{}", good, "s3cr3t"),
                "signing method (alg) is unspecified.",
            ),
            (
                sign("{\"alg\":5}", good, "s3cr3t"),
                "signing method (alg) is unspecified.",
            ),
            (
                sign("{\"alg\":\"HS256\"} x", good, "s3cr3t"),
                "invalid token",
            ),
            ("x".into(), "token contains an invalid number of segments"),
            (
                "a.b.c.d".into(),
                "token contains an invalid number of segments",
            ),
            ("!!!.b.c".into(), "illegal base64 data at input byte 0"),
        ] {
            assert_eq!(named(&token).unwrap_err(), want, "{token}");
        }
        let token = sign(head, good, "s3cr3t");
        let (signed, _) = token.rsplit_once('.').unwrap();
        assert_eq!(
            named(&format!("{signed}.")).unwrap_err(),
            "signature is invalid"
        );
        for at in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            assert!(named(&changed).is_err(), "{changed}");
        }
    }
}
