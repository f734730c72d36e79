//! The addresses that other servers are asked from: they know this server by its listening addresses.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// The addresses that this server listens on, without wildcards, in the order of the configuration.
#[derive(Clone, Debug, Default)]
pub struct SourceAddresses(Arc<[IpAddr]>);

impl SourceAddresses {
    /// Takes the addresses that are listened on. A wildcard leaves the choice to the system.
    pub fn listening(on: impl IntoIterator<Item = SocketAddr>) -> SourceAddresses {
        let addresses = on.into_iter().map(|address| address.ip().to_canonical());
        let specific = addresses.filter(|address| !address.is_unspecified());
        SourceAddresses(specific.collect())
    }

    /// The address to ask a server from: the configured one, else the first listening address of its
    /// family. An address of the loopback is for servers on the loopback only, and the other way round.
    /// None leaves the choice to the system.
    pub fn toward(&self, server: IpAddr, configured: Option<IpAddr>) -> Option<IpAddr> {
        let server = server.to_canonical();
        let same_family = |address: &IpAddr| address.is_ipv4() == server.is_ipv4();
        if let Some(configured) = configured.filter(same_family) {
            return Some(configured);
        }
        let mut addresses = self.0.iter().copied();
        addresses.find(|own| same_family(own) && own.is_loopback() == server.is_loopback())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_server_is_asked_from_the_first_listening_address_of_its_family() {
        let on = [
            "127.0.0.1:53",
            "0.0.0.0:53",
            "192.0.2.53:53",
            "192.0.2.54:53",
            "[2001:db8::53]:53",
        ];
        let sources = SourceAddresses::listening(on.map(|text| text.parse().unwrap()));
        let toward = |server: &str, configured: Option<&str>| {
            let configured = configured.map(|text| text.parse().unwrap());
            let source = sources.toward(server.parse().unwrap(), configured);
            source.map_or_else(String::new, |source| source.to_string())
        };
        assert_eq!(toward("198.51.100.1", None), "192.0.2.53");
        assert_eq!(toward("::ffff:198.51.100.1", None), "192.0.2.53");
        assert_eq!(toward("2001:db8::1", None), "2001:db8::53");
        assert_eq!(toward("127.0.0.9", None), "127.0.0.1");
        assert_eq!(toward("::1", None), "");
        assert_eq!(toward("198.51.100.1", Some("192.0.2.99")), "192.0.2.99");
        assert_eq!(toward("2001:db8::1", Some("192.0.2.99")), "2001:db8::53");
        let anywhere = SourceAddresses::listening(["0.0.0.0:53".parse().unwrap()]);
        assert_eq!(anywhere.toward("198.51.100.1".parse().unwrap(), None), None);
    }
}
