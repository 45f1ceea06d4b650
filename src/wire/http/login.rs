//! Name and password of a request: the Basic scheme (RFC 7617, RFC 9110 §11.7.2).
//!
//! Strict: one field, padded base64 without blanks. They are verified in `state::users`.

use super::fields::split_at_byte;
use super::head::Head;
use crate::wire::socks::Login;

/// The longest decoded text in bytes: name 255, colon 1, password 255, as RFC 1929 §2 limits
/// them for SOCKS5, and one more to be even.
pub const LOGIN_MAX: usize = 512;

impl Head<'_> {
    /// Name and password from Proxy-Authorization, decoded into `out`; the name ends at the first
    /// colon. `None` if there is no such field, more than one, or one that cannot be read.
    pub fn login<'o>(&self, out: &'o mut [u8; LOGIN_MAX]) -> Option<Login<'o>> {
        let mut value = None;
        for field in self.fields {
            if field.is(b"Proxy-Authorization") && value.replace(field.value).is_some() {
                return None;
            }
        }
        let (scheme, text) = split_at_byte(value?, b' ')?;
        if !scheme.eq_ignore_ascii_case(b"Basic") {
            return None;
        }
        let len = decode(text.trim_ascii_start(), out)?;
        let (name, password) = split_at_byte(out.get(..len)?, b':')?;
        Some(Login { name, password })
    }
}

/// Decodes base64 (RFC 4648 §4) to the start of `out`. Returns the number of bytes, or `None` if
/// they do not fit, or if `text` is not padded, has unused bits that are not zero, or has other
/// characters.
fn decode(text: &[u8], out: &mut [u8]) -> Option<usize> {
    if !text.len().is_multiple_of(4) {
        return None;
    }
    let text = text.strip_suffix(b"=").unwrap_or(text);
    let text = text.strip_suffix(b"=").unwrap_or(text);
    let (mut bits, mut count, mut len) = (0u32, 0u32, 0);
    for byte in text {
        bits = bits << 6 | sextet(*byte)?;
        count += 6;
        if count >= 8 {
            count -= 8;
            *out.get_mut(len)? = u8::try_from(bits >> count).ok()?;
            bits &= (1 << count) - 1;
            len += 1;
        }
    }
    (bits == 0).then_some(len)
}

/// The six bits of a letter of base64.
fn sextet(letter: u8) -> Option<u32> {
    let bits = match letter {
        b'A'..=b'Z' => letter - b'A',
        b'a'..=b'z' => letter - b'a' + 26,
        b'0'..=b'9' => letter - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    };
    Some(bits.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn login(fields: &str) -> Option<(Vec<u8>, Vec<u8>)> {
        let text = format!("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n{fields}\r\n");
        let mut out = [0; LOGIN_MAX];
        let head = Head::parse(text.as_bytes()).ok().unwrap().unwrap();
        let login = head.login(&mut out)?;
        Some((login.name.to_vec(), login.password.to_vec()))
    }

    /// The other direction, bit by bit from the RFC's table.
    fn encode(bytes: &[u8]) -> String {
        const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut text = String::new();
        for group in bytes.chunks(3) {
            let octet = |at: usize| u32::from(group.get(at).copied().unwrap_or(0));
            let bits = octet(0) << 16 | octet(1) << 8 | octet(2);
            for at in 0..4u32 {
                let letter = LETTERS[(bits >> (18 - 6 * at) & 63) as usize];
                let is_padding = at as usize > group.len();
                text.push(if is_padding { '=' } else { letter.into() });
            }
        }
        text
    }

    #[test]
    fn h3_the_example_of_the_rfc_decodes() {
        let expected = Some((b"Aladdin".to_vec(), b"open sesame".to_vec()));
        for scheme in ["Basic ", "basic ", "BASIC   ", "\tBasic "] {
            let field = format!("Proxy-Authorization:{scheme}QWxhZGRpbjpvcGVuIHNlc2FtZQ== \r\n");
            assert_eq!(login(&field), expected, "{scheme}");
        }
    }

    #[test]
    fn h3_the_name_ends_at_the_first_colon() {
        for (text, name, password) in [
            ("a:b:c", "a", "b:c"),
            (":b", "", "b"),
            ("a:", "a", ""),
            (":", "", ""),
        ] {
            let field = format!("proxy-authorization: Basic {}\r\n", encode(text.as_bytes()));
            let expected = Some((name.into(), password.into()));
            assert_eq!(login(&field), expected, "{text}");
        }
    }

    #[test]
    fn h3_what_cannot_be_read_is_no_login() {
        let whole = "Proxy-Authorization: Basic QTpC\r\n";
        assert!(login(whole).is_some());
        assert_eq!(login(&whole.repeat(2)), None);
        assert_eq!(login(""), None);
        assert_eq!(login("Authorization: Basic QTpC\r\n"), None);
        for value in [
            "",
            "Basic",
            "Basic ",
            "QTpC",
            "Bearer QTpC",
            "BasicQTpC",
            "Basic\tQTpC",
            "Basic QTp",
            "Basic QTpC=",
            "Basic QTpC====",
            "Basic QTo",
            "Basic QTp=",
            "Basic QTr=",
            "Basic QT==pC==",
            "Basic QT pC",
            "Basic Q,pC",
            "Basic ====",
            "Basic A===",
            "Basic QUJD",
            "Basic QTpC QTpC",
            "Basic QTp_",
            "Basic QTo=x",
        ] {
            let field = format!("Proxy-Authorization: {value}\r\n");
            assert_eq!(login(&field), None, "{value:?}");
        }
    }

    #[test]
    fn h3_the_longest_users_fit_and_longer_ones_do_not() {
        let text = [&[b'u'; 255][..], b":", &[b'p'; 256]].concat();
        let field = |text: &[u8]| format!("Proxy-Authorization: Basic {}\r\n", encode(text));
        assert_eq!(login(&field(&text)).unwrap().1.len(), 256);
        assert_eq!(login(&field(&[&text[..], b"p"].concat())), None);
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_what_is_decoded(
            bytes in proptest::collection::vec(any::<u8>(), 0..300)
        ) {
            let mut out = [0; LOGIN_MAX];
            let len = decode(encode(&bytes).as_bytes(), &mut out);
            prop_assert_eq!(&out[..len.unwrap()], &bytes[..]);
        }

        #[test]
        fn only_one_text_decodes_to_the_same_bytes(text in "[A-Za-z0-9+/=]{0,12}") {
            let mut out = [0; LOGIN_MAX];
            if let Some(len) = decode(text.as_bytes(), &mut out) {
                prop_assert_eq!(encode(&out[..len]), text);
            }
        }
    }
}
