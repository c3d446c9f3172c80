//! Keys and digests as text: base 36 as Swarm's tokens are, base 64, and PEM.

const BASE36: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const PEM_LINE: usize = 64;

/// The number that `bytes` are, the first the highest, in base 36 with at least `width` digits.
pub fn base36(bytes: &[u8], width: usize) -> String {
    let mut number = bytes.to_vec();
    let mut digits = Vec::with_capacity(width);
    while digits.len() < width || number.iter().any(|byte| *byte != 0) {
        let mut rest = 0_u32;
        for byte in &mut number {
            let value = rest << 8 | u32::from(*byte);
            // A remainder below 36 and a byte: the quotient fits in a byte.
            *byte = u8::try_from(value / 36).unwrap_or(u8::MAX);
            rest = value % 36;
        }
        digits.push(char::from(BASE36[rest as usize]));
    }
    digits.iter().rev().collect()
}

/// The bytes that [`base36`] wrote; `None` if the text is no number in small digits, or too large.
pub fn from_base36<const BYTES: usize>(text: &str) -> Option<[u8; BYTES]> {
    let mut number = [0; BYTES];
    for digit in text.bytes() {
        let mut carry = match digit {
            b'0'..=b'9' => u32::from(digit - b'0'),
            b'a'..=b'z' => u32::from(digit - b'a') + 10,
            _ => return None,
        };
        for byte in number.iter_mut().rev() {
            let [.., high, low] = (u32::from(*byte) * 36 + carry).to_be_bytes();
            *byte = low;
            carry = u32::from(high);
        }
        if carry != 0 {
            return None;
        }
    }
    Some(number)
}

/// Standard base 64 with padding.
pub fn base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let padded = [
            group[0],
            *group.get(1).unwrap_or(&0),
            *group.get(2).unwrap_or(&0),
        ];
        let bits = u32::from_be_bytes([0, padded[0], padded[1], padded[2]]);
        for place in 0..4 {
            let digit = (bits >> (18 - 6 * place)) & 63;
            text.push(match place <= group.len() {
                true => char::from(BASE64[digit as usize]),
                false => '=',
            });
        }
    }
    text
}

/// The bytes of base 64, standard or for URLs, with or without padding; `None` if it is none.
pub fn from_base64(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=').as_bytes();
    if text.len() - digits.len() > 2 || digits.len() % 4 == 1 {
        return None;
    }
    let mut bytes = Vec::with_capacity(digits.len() / 4 * 3 + 2);
    for group in digits.chunks(4) {
        let mut bits = 0_u32;
        for place in 0..4 {
            bits = bits << 6 | group.get(place).map_or(Some(0), |d| base64_value(*d))?;
        }
        bytes.extend(&bits.to_be_bytes()[1..group.len()]);
    }
    Some(bytes)
}

fn base64_value(digit: u8) -> Option<u32> {
    Some(u32::from(match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        b'+' | b'-' => 62,
        b'/' | b'_' => 63,
        _ => return None,
    }))
}

/// A certificate in PEM, byte for byte as Go writes it: a join token digests this text.
pub fn certificate_pem(der: &[u8]) -> String {
    pem("CERTIFICATE", der)
}

/// Bytes in PEM, under the name of what they are.
pub fn pem(label: &str, der: &[u8]) -> String {
    let body = base64(der);
    let mut text = format!("-----BEGIN {label}-----\n");
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(PEM_LINE));
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    text + &format!("-----END {label}-----\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::rng::Rng;

    #[test]
    fn numbers_come_back_from_base36() {
        assert_eq!(base36(&[0, 35], 1), "z");
        assert_eq!(base36(&[1, 0], 4), "0074");
        assert_eq!(base36(&[255; 16], 25), "f5lxx1zz5pnorynqglhzmsp33");
        assert_eq!(base36(&[255; 32], 50).len(), 50);
        let mut rng = Rng::from_seed(1);
        for _ in 0..200 {
            let bytes = rng.next_u128().to_be_bytes();
            let text = base36(&bytes, 25);
            assert_eq!((text.len(), from_base36(&text)), (25, Some(bytes)));
        }
    }

    #[test]
    fn what_is_no_base36_or_too_large_is_refused() {
        for text in [
            "A",
            "-",
            "é",
            "f5lxx1zz5pnorynqglhzmsp34",
            "zzzzzzzzzzzzzzzzzzzzzzzzz",
        ] {
            assert_eq!(from_base36::<16>(text), None, "{text}");
        }
    }

    #[test]
    fn bytes_come_back_from_base64() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
        ] {
            assert_eq!(base64(bytes.as_bytes()), text);
            assert_eq!(from_base64(text), Some(bytes.as_bytes().to_vec()));
        }
        assert_eq!(from_base64("-_-_"), from_base64("+/+/"));
    }

    #[test]
    fn what_is_no_base64_is_refused() {
        for text in ["Z", "Zg===", "Z!==", "Zm9vY", "é"] {
            assert_eq!(from_base64(text), None, "{text}");
        }
    }

    #[test]
    fn pem_has_lines_of_64_characters() {
        let text = certificate_pem(&[0; 49]);
        let lines: Vec<_> = text.lines().map(str::len).collect();
        assert_eq!(lines, [27, 64, 4, 25]);
        assert!(text.ends_with("-----END CERTIFICATE-----\n"));
        assert_eq!(certificate_pem(&[0; 48]).lines().count(), 3);
    }
}
