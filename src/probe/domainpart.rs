//! The check domain as XMPP writes it.
//!
//! In: a [`DomainName`], which is ASCII as in the DNS. Out: the domainpart with its internationalised labels
//! as Unicode (RFC 7622 §3.2.1), which servers compare their hosts with. Never here: normalisation of
//! Unicode that did not come out of a DNS name.

use crate::topology::DomainName;

/// `xn--bcher-kva.example` as `bücher.example`. A label that does not decode stays as it is.
pub(super) fn domainpart(domain: &DomainName) -> String {
    let labels = domain.as_str().split('.').map(|label| {
        label
            .strip_prefix("xn--")
            .and_then(decode)
            .unwrap_or_else(|| label.to_owned())
    });
    labels.collect::<Vec<_>>().join(".")
}

/// Whether a peer's text names this domain, in either form.
pub(super) fn names(text: &str, domain: &DomainName) -> bool {
    let text = text.strip_suffix('.').unwrap_or(text);
    text.eq_ignore_ascii_case(domain.as_str()) || text.to_lowercase() == domainpart(domain)
}

/// Punycode (RFC 3492 §6.2) without its prefix; none when it is not Punycode.
fn decode(text: &str) -> Option<String> {
    const BASE: u32 = 36;
    let (mut out, encoded): (Vec<char>, &str) = match text.rsplit_once('-') {
        Some((basic, encoded)) => (basic.chars().collect(), encoded),
        None => (Vec::new(), text),
    };
    let (mut code, mut index, mut bias, mut first) = (128_u32, 0_u32, 72_u32, true);
    let mut digits = encoded.bytes();
    while digits.len() > 0 {
        let before = index;
        let mut weight = 1_u32;
        let mut k = BASE;
        loop {
            let digit = match digits.next()? {
                byte @ b'a'..=b'z' => u32::from(byte - b'a'),
                byte @ b'0'..=b'9' => u32::from(byte - b'0') + 26,
                _ => return None,
            };
            index = index.checked_add(digit.checked_mul(weight)?)?;
            let threshold = k.saturating_sub(bias).clamp(1, 26);
            if digit < threshold {
                break;
            }
            weight = weight.checked_mul(BASE - threshold)?;
            k += BASE;
        }
        let count = u32::try_from(out.len()).ok()? + 1;
        let mut delta = (index - before) / if first { 700 } else { 2 };
        delta += delta / count;
        first = false;
        let mut steps = 0;
        while delta > 455 {
            delta /= BASE - 1;
            steps += BASE;
        }
        bias = steps + 36 * delta / (delta + 38);
        code = code.checked_add(index / count)?;
        index %= count;
        out.insert(usize::try_from(index).ok()?, char::from_u32(code)?);
        index += 1;
    }
    Some(out.into_iter().collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn name(text: &str) -> DomainName {
        text.parse().unwrap()
    }

    #[test]
    fn internationalised_labels_become_unicode() {
        assert_eq!(domainpart(&name("contoso.com")), "contoso.com");
        assert_eq!(domainpart(&name("xn--bcher-kva.example")), "bücher.example");
        assert_eq!(domainpart(&name("xn--fiqs8s.example")), "中国.example");
        assert_eq!(
            domainpart(&name("a.xn--strae-oqa.example")),
            "a.straße.example"
        );
    }

    #[test]
    fn what_does_not_decode_stays() {
        for odd in [
            "xn--.example",
            "xn--9999999999.example",
            "xn--a_b-c_d.example",
        ] {
            let shown = domainpart(&name(odd));
            assert!(shown.ends_with(".example"), "{shown}");
        }
    }

    #[test]
    fn a_domain_is_recognised_in_both_forms() {
        let domain = name("xn--bcher-kva.example");
        assert!(names("bücher.example", &domain));
        assert!(names("XN--BCHER-KVA.example.", &domain));
        assert!(!names("example", &domain));
    }
}
