//! Networks as configuration writes them: an address with the length of its prefix.
//!
//! In: text like `192.0.2.0/24`. Out: [`Network`], which knows what lies in it. Never here: what a network may do.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// All addresses that begin with the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    /// How many leading bits count.
    length: u8,
}

impl Network {
    /// Whether an address lies in it. IPv4 addresses are expected as such.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => {
                let differing = u32::from(ours) ^ u32::from(theirs);
                differing.leading_zeros() >= u32::from(self.length)
            }
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => {
                let differing = u128::from(ours) ^ u128::from(theirs);
                differing.leading_zeros() >= u32::from(self.length)
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = String;

    /// Takes an address alone as the network of that one address.
    fn from_str(text: &str) -> Result<Network, String> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr = address
            .parse()
            .map_err(|_| format!("{address:?} is not an address"))?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let length = match length {
            None => longest,
            Some(digits) => digits
                .parse()
                .ok()
                .filter(|length| *length <= longest && !digits.starts_with('+'))
                .ok_or_else(|| format!("{digits:?} is not a length from 0 to {longest}"))?,
        };
        let network = Network { address, length };
        // Bits behind the prefix are a slip: the writer meant another address or another length.
        let first = network.first();
        if first != address {
            return Err(format!("the network begins at {first}, not at {address}"));
        }
        Ok(network)
    }
}

impl Network {
    fn first(&self) -> IpAddr {
        let behind = u32::from(self.length);
        match self.address {
            IpAddr::V4(address) => {
                let mask = u32::MAX.checked_shr(behind).unwrap_or(0);
                IpAddr::V4((u32::from(address) & !mask).into())
            }
            IpAddr::V6(address) => {
                let mask = u128::MAX.checked_shr(behind).unwrap_or(0);
                IpAddr::V6((u128::from(address) & !mask).into())
            }
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

impl Serialize for Network {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_network_contains_what_begins_as_it_does() {
        let holds = |network: &str, address: &str| {
            let network: Network = network.parse().unwrap();
            network.contains(address.parse().unwrap())
        };
        assert!(holds("10.0.0.0/8", "10.255.0.1") && !holds("10.0.0.0/8", "11.0.0.1"));
        assert!(holds("192.0.2.7", "192.0.2.7") && !holds("192.0.2.7", "192.0.2.6"));
        assert!(holds("0.0.0.0/0", "192.0.2.7") && !holds("0.0.0.0/0", "::1"));
        assert!(
            holds("2001:db8::/32", "2001:db8:ffff::1") && !holds("2001:db8::/32", "2001:db9::")
        );
        assert!(holds("::/0", "::1") && holds("::1", "::1"));
    }

    #[test]
    fn slips_are_told() {
        for (text, why) in [
            ("10.0.0.1/8", "begins at 10.0.0.0"),
            ("10.0.0.0/33", "0 to 32"),
            ("2001:db8::/129", "0 to 128"),
            ("2001:db8::1/64", "begins at 2001:db8::"),
            ("10/8", "not an address"),
            ("10.0.0.0/+8", "not a length"),
        ] {
            let error = text.parse::<Network>().unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
