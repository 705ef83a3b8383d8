//! Datagrams made by hand, whole, damaged, signed and encrypted.

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::super::MultiValue;
use super::*;

fn part(kind: u16, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len() + 4).unwrap();
    [&kind.to_be_bytes(), &length.to_be_bytes(), payload].concat()
}

fn text(kind: u16, text: &str) -> Vec<u8> {
    part(kind, &[text.as_bytes(), b"\0"].concat())
}

fn values(values: &[(u8, [u8; 8])]) -> Vec<u8> {
    let mut payload = u16::try_from(values.len()).unwrap().to_be_bytes().to_vec();
    payload.extend(values.iter().map(|(kind, _)| kind));
    payload.extend(values.iter().flat_map(|(_, bytes)| *bytes));
    part(6, &payload)
}

/// What a host sends of an interface and its load.
fn datagram() -> Vec<u8> {
    [
        text(0, "web 1"),
        part(8, &((1_500_000_000_u64 << 30) + (1 << 29)).to_be_bytes()),
        part(9, &(10_u64 << 30).to_be_bytes()),
        text(2, "interface"),
        text(3, "eth0"),
        text(4, "if_octets"),
        values(&[(2, 7_i64.to_be_bytes()), (0, 9_u64.to_be_bytes())]),
        part(1, &1_500_000_001_u64.to_be_bytes()),
        text(2, "load"),
        text(3, ""),
        text(4, "gauge"),
        text(5, "x"),
        values(&[(1, 1.5_f64.to_le_bytes())]),
        values(&[(1, f64::NAN.to_le_bytes())]),
        part(0x999, b"new"),
    ]
    .concat()
}

fn decoder(security: CollectdSecurity, users: &str, multi_value: MultiValue) -> Decoder {
    let mut types = Types::default();
    let db = "# types\nif_octets  rx:DERIVE:0:U, tx:DERIVE:0:U\n\ngauge\tvalue:GAUGE:U:U\n";
    types.parse(db).unwrap();
    Decoder {
        security,
        users: Users::parse(users).unwrap(),
        points: Points::new(types, multi_value),
    }
}

/// The lines of a datagram, how many points they are, and how many times something was malformed.
fn decode(decoder: &mut Decoder, datagram: &[u8]) -> (String, u64, u64) {
    let counters = InputCounters::new("collectd", true, String::new());
    let mut out = Vec::new();
    let points = decoder.decode(datagram, 0, &counters, &mut out);
    assert_eq!(
        points as usize,
        out.iter().filter(|byte| **byte == b'\n').count()
    );
    (
        String::from_utf8(out).unwrap(),
        points,
        counters.malformed.get(),
    )
}

const SPLIT: &str = "interface_rx,host=web\\ 1,instance=eth0,type=if_octets value=7 1500000000500000000\n\
    interface_tx,host=web\\ 1,instance=eth0,type=if_octets value=9 1500000000500000000\n\
    load_value,host=web\\ 1,type=gauge,type_instance=x value=1.5 1500000001000000000\n";

#[test]
fn values_become_points_split_or_joined() {
    let mut split = decoder(CollectdSecurity::None, "", MultiValue::Split);
    assert_eq!(decode(&mut split, &datagram()), (SPLIT.to_owned(), 3, 0));
    let mut join = decoder(CollectdSecurity::None, "", MultiValue::Join);
    let expected = "interface,host=web\\ 1,instance=eth0,type=if_octets rx=7,tx=9 1500000000500000000\n\
        load,host=web\\ 1,type=gauge,type_instance=x value=1.5 1500000001000000000\n";
    assert_eq!(decode(&mut join, &datagram()), (expected.to_owned(), 2, 0));
}

#[test]
fn types_that_nobody_knows_have_numbers_for_names() {
    let mut decoder = decoder(CollectdSecurity::None, "", MultiValue::Split);
    let two = values(&[(3, 1_u64.to_be_bytes()), (3, 2_u64.to_be_bytes())]);
    let datagram = [text(2, "p"), text(4, "unknown"), two].concat();
    let (lines, ..) = decode(&mut decoder, &datagram);
    assert_eq!(
        lines,
        "p_0,type=unknown value=1 0\np_1,type=unknown value=2 0\n"
    );
    for bad in ["if_octets", "x y", "x :G:0:U", "x a:G:0:U,"] {
        assert_eq!(Types::default().parse(bad), Err(1), "{bad}");
    }
}

#[test]
fn a_datagram_that_is_cut_or_changed_anywhere_does_no_harm() {
    let mut decoder = decoder(CollectdSecurity::None, "", MultiValue::Split);
    let whole = datagram();
    for end in 0..whole.len() {
        let (lines, _, malformed) = decode(&mut decoder, &whole[..end]);
        assert!(SPLIT.starts_with(&lines), "{lines}");
        assert!(malformed <= 1);
    }
    for at in 0..whole.len() {
        for change in [1, 0x80, 0xff] {
            let mut changed = whole.clone();
            changed[at] ^= change;
            let counters = InputCounters::new("collectd", true, String::new());
            decoder.decode(&changed, 0, &counters, &mut Vec::new());
        }
    }
}

fn signed(user: &str, password: &str, datagram: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(password.as_bytes()).unwrap();
    mac.update(user.as_bytes());
    mac.update(datagram);
    let mac = mac.finalize().into_bytes();
    let sign = part(0x200, &[mac.as_slice(), user.as_bytes()].concat());
    [sign.as_slice(), datagram].concat()
}

fn encrypted(user: &str, password: &str, datagram: &[u8]) -> Vec<u8> {
    let mut text = Sha1::digest(datagram).to_vec();
    text.extend_from_slice(datagram);
    crypt::ofb(password.as_bytes(), [7; 16], &mut text);
    let length = u16::try_from(user.len()).unwrap().to_be_bytes();
    let payload = [&length, user.as_bytes(), &[7; 16], &text].concat();
    part(0x210, &payload)
}

#[test]
fn who_must_sign_or_encrypt_does_so_with_the_right_password() {
    let users = "# users\nalice: secret\nbob:other\n";
    let plain = datagram();
    let (sign, wrong) = (
        signed("alice", "secret", &plain),
        signed("alice", "x", &plain),
    );
    let stranger = signed("eve", "secret", &plain);
    let crypt = encrypted("bob", "other", &plain);
    let wrong_crypt = encrypted("bob", "secret", &plain);
    let mut late = plain.clone();
    late.extend(signed("alice", "secret", b""));
    for (security, taken, refused) in [
        (
            CollectdSecurity::None,
            vec![&plain, &sign, &crypt],
            vec![&wrong, &stranger, &wrong_crypt],
        ),
        (
            CollectdSecurity::Sign,
            vec![&sign, &crypt],
            vec![&plain, &wrong, &stranger, &wrong_crypt, &late],
        ),
        (
            CollectdSecurity::Encrypt,
            vec![&crypt],
            vec![&plain, &sign, &wrong_crypt],
        ),
    ] {
        let mut decoder = decoder(security, users, MultiValue::Split);
        for datagram in taken {
            assert_eq!(decode(&mut decoder, datagram), (SPLIT.to_owned(), 3, 0));
        }
        for datagram in refused {
            assert_eq!(decode(&mut decoder, datagram), (String::new(), 0, 1));
        }
    }
    assert!(!format!("{:?}", Users::parse(users)).contains("secret"));
}

/// Who has caught a signed datagram could else say of which host it is.
#[test]
fn what_stands_before_a_signature_is_not_said_of_what_is_signed() {
    let mut decoder = decoder(CollectdSecurity::Sign, "alice: secret", MultiValue::Split);
    let one = [text(2, "load"), values(&[(1, 2_f64.to_le_bytes())])].concat();
    let forged = [text(0, "victim"), signed("alice", "secret", &one)].concat();
    let (lines, ..) = decode(&mut decoder, &forged);
    assert_eq!(lines, "load_value value=2 0\n");
}

#[test]
fn a_point_without_a_name_is_counted() {
    let mut decoder = decoder(CollectdSecurity::None, "", MultiValue::Join);
    let nameless = values(&[(1, 2_f64.to_le_bytes())]);
    assert_eq!(decode(&mut decoder, &nameless), (String::new(), 0, 1));
}

#[test]
fn both_directions_of_encryption_agree_and_depend_on_key_and_vector() {
    let stream = |password: &[u8], iv| {
        let mut zeros = [0; 40];
        crypt::ofb(password, iv, &mut zeros);
        zeros
    };
    let mut text = *b"attack at dawn";
    crypt::ofb(b"k", [3; 16], &mut text);
    assert_ne!(&text, b"attack at dawn");
    crypt::ofb(b"k", [3; 16], &mut text);
    assert_eq!(&text, b"attack at dawn");
    assert_ne!(stream(b"a", [0; 16]), stream(b"b", [0; 16]));
    assert_ne!(stream(b"a", [0; 16]), stream(b"a", [1; 16]));
}

/// Each value repeats all names: sixty kilobytes could become a hundred megabytes.
#[test]
fn a_datagram_makes_a_bounded_number_of_bytes() {
    let mut decoder = decoder(CollectdSecurity::None, "", MultiValue::Split);
    let name = "x".repeat(250);
    let mut datagram: Vec<u8> = [0, 2, 3, 4, 5]
        .into_iter()
        .flat_map(|kind| text(kind, &name))
        .collect();
    let one = values(&[(1, 1.5_f64.to_le_bytes())]);
    datagram.extend(one.repeat(3_900));
    let (lines, points, malformed) = decode(&mut decoder, &datagram);
    assert!(lines.len() < LINES_BYTES_MAX + 2_000, "{}", lines.len());
    assert!(points > 500 && malformed == 1, "{points} {malformed}");
    // One list alone does not go beyond it by much.
    let mut many = text(2, &name);
    many.extend(values(&[(1, 1.5_f64.to_le_bytes()); 257]));
    assert_eq!(decode(&mut decoder, &many), (String::new(), 0, 1));
    // Longer names than collectd has are none.
    let long = [text(0, &"x".repeat(256)), text(2, "a"), one].concat();
    assert_eq!(decode(&mut decoder, &long).2, 1);
}
