//! Asking through resolvers, for names that are not ours.
//!
//! In: resolvers, configured or the system's; a name and a type. Out: the first reply that says something. Never here:
//! validation (CD is set: a broken chain is what a check of a delegation looks for), a cache.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use tokio::task::JoinSet;

use super::client::ask;
use super::how::{AskError, How};
use super::query::Query;
use super::reply::Reply;
use crate::zone::Name;

/// Where the system says which resolvers to ask.
const RESOLV_CONF: &str = "/etc/resolv.conf";
/// Aliases followed from one name to its addresses.
const LONGEST_CHAIN: usize = 8;

/// Resolvers, asked in this order.
#[derive(Clone, Debug)]
pub struct Resolvers {
    servers: Vec<SocketAddr>,
    /// How they are asked.
    pub how: How,
}

/// Why nothing is known of a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// There is nobody to ask.
    #[error("no resolver is known: set [dns] resolvers, or a nameserver in {RESOLV_CONF}")]
    NoResolver,
    /// None of them said anything about it; this is what the last one did.
    #[error("no resolver says anything about {name}: {last}")]
    Silent {
        /// The name asked for.
        name: String,
        /// What the last resolver did.
        last: AskError,
    },
}

impl Resolvers {
    /// Takes the configured resolvers, or those of the system when there are none.
    pub fn new(configured: &[SocketAddr]) -> Resolvers {
        let servers = match configured {
            [] => {
                let text = std::fs::read_to_string(Path::new(RESOLV_CONF));
                of_resolv_conf(&text.unwrap_or_default())
            }
            configured => configured.to_vec(),
        };
        Resolvers {
            servers,
            how: How::default(),
        }
    }

    /// Their addresses.
    pub fn servers(&self) -> &[SocketAddr] {
        &self.servers
    }

    /// Whether none of them answers at all, and what each does instead. An answer with an error is an answer.
    pub async fn all_silent(&self) -> Option<String> {
        if self.servers.is_empty() {
            return Some(LookupError::NoResolver.to_string());
        }
        let mut asked = JoinSet::new();
        for server in &self.servers {
            let (server, how) = (*server, self.how.clone());
            asked.spawn(async move {
                let query = Query::new(Name::root(), RecordType::NS);
                ask(server, &query, &how).await
            });
        }
        let mut silent = Vec::new();
        while let Some(answer) = asked.join_next().await {
            match answer {
                Ok(Ok(_) | Err(AskError::Rcode { .. })) => return None,
                Ok(Err(error)) => silent.push(error.to_string()),
                Err(ended) => silent.push(ended.to_string()),
            }
        }
        silent.sort();
        Some(silent.join("; "))
    }

    /// The first reply that is NOERROR or NXDOMAIN.
    ///
    /// # Errors
    /// When no resolver gives one.
    pub async fn lookup(&self, name: &Name, rtype: RecordType) -> Result<Reply, LookupError> {
        let query = Query {
            checking_disabled: true,
            ..Query::recursive(name.clone(), rtype)
        };
        let mut last = None;
        for server in &self.servers {
            let reply = ask(*server, &query, &self.how).await;
            match reply.and_then(|reply| reply.answered(*server)) {
                Ok(reply) => return Ok(reply),
                Err(error) => last = Some(error),
            }
        }
        Err(
            last.map_or(LookupError::NoResolver, |last| LookupError::Silent {
                name: name.to_string(),
                last,
            }),
        )
    }

    /// A name's addresses, IPv4 first, through aliases.
    ///
    /// # Errors
    /// When one of the two types could not be asked for: half of the addresses is not the answer.
    pub async fn addresses(&self, name: &Name) -> Result<Vec<IpAddr>, LookupError> {
        let (v4, v6) = tokio::join!(
            self.lookup(name, RecordType::A),
            self.lookup(name, RecordType::AAAA)
        );
        let (v4, v6) = (v4?, v6?);
        let v4 = at_end_of_chain(&v4, name, RecordType::A);
        let v6 = at_end_of_chain(&v6, name, RecordType::AAAA);
        Ok(v4.into_iter().chain(v6).collect())
    }
}

/// The addresses in a resolver's answer, behind the aliases that lead to them (RFC 1034 §3.6.2).
fn at_end_of_chain(reply: &Reply, name: &Name, rtype: RecordType) -> Vec<IpAddr> {
    if reply.rcode != ResponseCode::NoError {
        return Vec::new();
    }
    let mut owner = name.clone();
    for _ in 0..LONGEST_CHAIN {
        let alias = reply
            .answers_of(&owner, RecordType::CNAME)
            .find_map(|record| record.rdata.target(RecordType::CNAME));
        match alias {
            Some(next) => owner = next,
            None => break,
        }
    }
    let records = reply.answers_of(&owner, rtype);
    records
        .filter_map(|record| record.rdata.as_address())
        .collect()
}

/// The `nameserver` lines (resolv.conf(5)); link-local addresses with a zone are left out, as no port can be added.
fn of_resolv_conf(text: &str) -> Vec<SocketAddr> {
    let servers = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let address = words.next().filter(|word| *word == "nameserver");
        address.and_then(|_| words.next()?.parse::<IpAddr>().ok())
    });
    servers
        .map(|address| SocketAddr::new(address, 53))
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_systems_resolvers_are_its_nameserver_lines() {
        let text = "# mine\nsearch contoso.com\nnameserver 127.0.0.53\nnameserver\n\
                    options edns0\n nameserver 2001:db8::53 \nnameserver fe80::1%eth0\n";
        let expected: Vec<SocketAddr> = ["127.0.0.53:53", "[2001:db8::53]:53"]
            .map(|server| server.parse().unwrap())
            .to_vec();
        assert_eq!(of_resolv_conf(text), expected);
        assert!(of_resolv_conf("").is_empty());
    }

    #[tokio::test]
    async fn without_anybody_to_ask_nothing_is_known() {
        let none = Resolvers {
            servers: Vec::new(),
            how: How::default(),
        };
        let said = none.lookup(&Name::root(), RecordType::NS).await;
        assert_eq!(said.unwrap_err(), LookupError::NoResolver);
    }
}
