//! The addresses that other servers see repoint come from: where it listens, or what the configuration says.

use std::io::Read;
use std::net::{IpAddr, TcpListener, UdpSocket};

use serde_json::Value;

use crate::server::{PATIENCE, Place, Pools, configuration, names};

/// Where repoint listens, behind an address that the system would choose.
const LISTENS: &str = "127.0.0.20";

struct Others {
    secondary: UdpSocket,
    primary: TcpListener,
}

impl Others {
    fn new() -> Others {
        let secondary = UdpSocket::bind("127.0.0.21:0").unwrap();
        secondary.set_read_timeout(Some(PATIENCE)).unwrap();
        Others {
            secondary,
            primary: TcpListener::bind("127.0.0.22:0").unwrap(),
        }
    }

    fn configuration(&self, pools: &Pools, of_secondary: &str, of_zone: &str) -> String {
        let (secondary, primary) = (
            self.secondary.local_addr().unwrap(),
            self.primary.local_addr().unwrap(),
        );
        let text = configuration(pools, &names(1), 30);
        let text = text.replace("127.0.0.1:0", &format!("{LISTENS}:0"));
        format!(
            "{text}[[secondary]]\nname = \"ns2\"\naddress = \"{secondary}\"\ntsig = \"none\"\n{of_secondary}\n\
             [[zone]]\napex = \"other.example\"\nprimary = [\"{primary}\"]\ntsig = \"none\"\n{of_zone}\n"
        )
    }

    /// Where the next datagrams to the secondary come from: a NOTIFY (opcode 4) and a query (opcode 0).
    fn told_and_asked_from(&self) -> [IpAddr; 2] {
        let mut from = [None; 2];
        let mut octets = [0; 512];
        while from.contains(&None) {
            let (_, sender) = self.secondary.recv_from(&mut octets).unwrap();
            let opcode = octets[2] >> 3 & 15;
            from[usize::from(opcode == 0)] = Some(sender.ip());
        }
        from.map(Option::unwrap)
    }

    fn transferred_from(&self) -> IpAddr {
        let (mut stream, sender) = self.primary.accept().unwrap();
        let mut octets = [0; 2];
        stream.read_exact(&mut octets).unwrap();
        sender.ip()
    }
}

#[test]
fn others_are_asked_from_the_listening_address() {
    let (others, pools) = (Others::new(), Pools::new());
    let place = Place::new(&others.configuration(&pools, "", ""));
    let _server = place.start();
    let listens: IpAddr = LISTENS.parse().unwrap();
    assert_eq!(others.told_and_asked_from(), [listens; 2]);
    assert_eq!(others.transferred_from(), listens);
}

#[test]
fn others_are_asked_from_the_configured_address() {
    let (others, pools) = (Others::new(), Pools::new());
    let [of_secondary, of_zone] = ["127.0.0.23", "127.0.0.24"];
    let source = |address: &str| format!("source = \"{address}\"");
    let text = others.configuration(&pools, &source(of_secondary), &source(of_zone));
    let place = Place::new(&text);
    let _server = place.start();
    let told: IpAddr = of_secondary.parse().unwrap();
    assert_eq!(others.told_and_asked_from(), [told; 2]);
    let transferred: IpAddr = of_zone.parse().unwrap();
    assert_eq!(others.transferred_from(), transferred);
}

#[test]
fn an_address_that_is_not_here_is_named_with_what_to_do() {
    let (others, pools) = (Others::new(), Pools::new());
    let source = "source = \"192.0.2.99\"";
    let place = Place::new(&others.configuration(&pools, source, source));
    let server = place.start();
    let why = "from 192.0.2.99: the address is not one of this machine's; nothing was sent; \
               give this machine the address, or correct \"source\"";
    let line = server.logged("cannot transfer zone other.example");
    assert!(line.contains(why), "{line}");
    server.until("the secondary's trouble is shown", |server| {
        let (_, secondaries) = server.control("GET", "/v1/secondaries", &Value::Null);
        secondaries.to_string().replace('\\', "").contains(why)
    });
}
