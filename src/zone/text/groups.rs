//! Identifiers in groups of hexadecimal digits: EUI48 and EUI64 (RFC 7043), NID and L64 (RFC 6742).

/// How octets are grouped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::zone) enum Groups {
    /// `00-00-5e-00-53-2a`.
    Eui48,
    /// `00-00-5e-ef-10-00-00-2a`.
    Eui64,
    /// `0014:4fff:ff20:ee64`.
    Locator64,
}

impl Groups {
    /// How many octets there are.
    pub(in crate::zone) fn octets(self) -> usize {
        match self {
            Groups::Eui48 => 6,
            Groups::Eui64 | Groups::Locator64 => 8,
        }
    }

    pub(in crate::zone) fn print(self, octets: &[u8]) -> String {
        let (size, separator) = match self {
            Groups::Eui48 | Groups::Eui64 => (1, "-"),
            Groups::Locator64 => (2, ":"),
        };
        let group = |group: &[u8]| group.iter().map(|octet| format!("{octet:02x}")).collect();
        let groups: Vec<String> = octets.chunks(size).map(group).collect();
        groups.join(separator)
    }

    pub(in crate::zone) fn read(self, word: &[u8]) -> Option<Vec<u8>> {
        let word = std::str::from_utf8(word).ok()?;
        let (separator, least, most) = match self {
            Groups::Eui48 | Groups::Eui64 => ('-', 2, 2),
            Groups::Locator64 => (':', 1, 4),
        };
        let mut octets = Vec::with_capacity(8);
        for group in word.split(separator) {
            let digits = group.bytes().all(|digit| digit.is_ascii_hexdigit());
            if !digits || group.len() < least || group.len() > most {
                return None;
            }
            let number = u16::from_str_radix(group, 16).ok()?;
            match self {
                Groups::Locator64 => octets.extend(number.to_be_bytes()),
                Groups::Eui48 | Groups::Eui64 => octets.push(u8::try_from(number).ok()?),
            }
        }
        (octets.len() == self.octets()).then_some(octets)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_examples_of_the_rfcs_are_read_and_written() {
        for (groups, text) in [
            (Groups::Eui48, "00-00-5e-00-53-2a"),
            (Groups::Eui64, "00-00-5e-ef-10-00-00-2a"),
            (Groups::Locator64, "0014:4fff:ff20:ee64"),
        ] {
            let octets = groups.read(text.as_bytes()).unwrap();
            assert_eq!(groups.print(&octets), text);
        }
        let short = Groups::Locator64.read(b"14:4FFF:0:e").unwrap();
        assert_eq!(Groups::Locator64.print(&short), "0014:4fff:0000:000e");
    }

    #[test]
    fn other_groups_are_refused() {
        for bad in [
            "",
            "00-00-5e-00-53",
            "00-00-5e-00-53-2a-00",
            "0-0-5e-00-53-2a",
            "00:00:5e:00:53:2a",
            "00-00-5e-00-53-+a",
        ] {
            assert_eq!(Groups::Eui48.read(bad.as_bytes()), None, "{bad}");
        }
        for bad in ["14:4fff:ff20", "14:4fff:ff20:12345", "::1:1:1", "14-4f-1-1"] {
            assert_eq!(Groups::Locator64.read(bad.as_bytes()), None, "{bad}");
        }
    }
}
