//! Which names a DNAME redirects (RFC 6672 §2.3): those below it, itself not.
//!
//! In: the RRsets of a master file or of a transfer. Out: the DNAME that redirects a name; what is wrong with DNAMEs.
//! Never here: the answers (`serve/redirect`).
//!
//! Records below a DNAME are not served and not transferred: RFC 6672 §2.4 has them occluded, and not every secondary
//! would occlude them.

use std::collections::BTreeMap;

use hickory_proto::rr::RecordType;

use super::master::MasterFault;
use super::name::{Name, parent_key};
use super::static_zone::{Check, StaticSet};

/// The topmost DNAME strictly above a name, unless a delegation hides it; `is_cut` says where one is.
pub(super) fn redirection<'a>(
    names: &'a BTreeMap<Name, BTreeMap<u16, StaticSet>>,
    apex: &Name,
    name: &Name,
    is_cut: impl Fn(&[u8]) -> bool,
) -> Option<(&'a Name, &'a StaticSet)> {
    let mut key = name.key();
    let mut found = None;
    while key.len() > apex.key().len() {
        key = parent_key(key)?;
        if key.len() > apex.key().len() && is_cut(key) {
            found = None;
        } else if let Some((owner, sets)) = names.get_key_value(key)
            && let Some(dname) = sets.get(&u16::from(RecordType::DNAME))
        {
            found = Some((owner, dname));
        }
    }
    found
}

impl Check<'_> {
    /// The DNAME that redirects a name of this zone.
    pub(super) fn redirection(&self, name: &Name) -> Option<(&Name, &StaticSet)> {
        redirection(&self.names, self.apex, name, |key| {
            let sets = self.names.get(key);
            sets.is_some_and(|sets| sets.contains_key(&u16::from(RecordType::NS)))
        })
    }

    /// What is left out because a DNAME stands above it, and wildcards with a DNAME.
    pub(super) fn redirections(&mut self) {
        let mut found = Vec::new();
        for (owner, sets) in &self.names {
            if self.steps.is_over() {
                return;
            }
            if let Some((_, dname)) = self.redirection(owner) {
                for set in sets.values() {
                    let fault = MasterFault::BelowDname {
                        owner: owner.clone(),
                        rtype: set.rrset.rtype,
                        dname: dname.at().clone(),
                    };
                    found.push((set.at().clone(), fault));
                }
            } else if owner.is_wildcard()
                && let Some(dname) = sets.get(&u16::from(RecordType::DNAME))
            {
                let owner = owner.clone();
                found.push((dname.at().clone(), MasterFault::WildcardDname { owner }));
            }
        }
        for (at, fault) in found {
            self.problem(&at, fault);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::fixture::{decision, layout, publish, route, topology};
    use super::super::{Layout, LayoutProblem};
    use crate::topology::ZonePlacement;

    const HEAD: &str =
        "$TTL 3600\n@ SOA ns1.example.net. hostmaster 7 60 30 7d 30\n@ NS ns1.example.net.\n";

    fn laid_out(
        placement: ZonePlacement,
        zones: &[&str],
        text: &str,
    ) -> Result<Layout, Vec<LayoutProblem>> {
        let route = route("contoso", &["contoso.com"], placement);
        let file = format!("{HEAD}{text}");
        layout(
            &topology(vec![route], zones),
            &[("contoso.com", file.as_str())],
        )
    }

    fn refused(placement: ZonePlacement, zones: &[&str], text: &str) -> Vec<String> {
        let problems = laid_out(placement, zones, text).unwrap_err();
        problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_a_route_steers_may_not_lie_below_a_dname() {
        for placement in [ZonePlacement::Configured, ZonePlacement::Owners] {
            let problems = refused(
                placement,
                &["contoso.com"],
                "_tcp DNAME _tcp.example.net.\n",
            );
            assert_eq!(
                problems,
                [
                    "route contoso steers _xmpp-server._tcp.contoso.com., which the DNAME of _tcp.contoso.com. \
                     (test.zone:4) redirects elsewhere",
                    "route contoso steers _xmpps-server._tcp.contoso.com., which the DNAME of _tcp.contoso.com. \
                     (test.zone:4) redirects elsewhere",
                ]
            );
        }
        let apex = refused(
            ZonePlacement::Configured,
            &["contoso.com"],
            "@ DNAME example.net.\n",
        );
        assert_eq!(apex.len(), 5, "{apex:?}");
        assert!(
            apex[3].starts_with("target edge1.contoso.com. of pool pool1 lies below the DNAME")
        );
    }

    #[test]
    fn a_route_may_steer_the_name_that_has_the_dname_itself() {
        let text = "xmpp DNAME elsewhere.example.net.\nbelow.xmpp TXT \"left out\"\n";
        let layout = laid_out(ZonePlacement::Configured, &["contoso.com"], text).unwrap();
        let zones = publish(&layout, &[decision("contoso", 1)], None, 5);
        let text = zones.iter().next().unwrap().to_master_text();
        assert!(text.contains("xmpp.contoso.com.\t3600\tIN\tDNAME\telsewhere.example.net.\n"));
        assert!(text.contains("xmpp.contoso.com.\t30\tIN\tA\t"));
        assert!(!text.contains("left out"), "{text}");
    }

    #[test]
    fn a_zone_of_ours_may_not_begin_below_a_dname() {
        let problems = refused(
            ZonePlacement::Configured,
            &["contoso.com", "a.old.contoso.com"],
            "old DNAME new\n",
        );
        assert_eq!(
            problems,
            [
                "the zone a.old.contoso.com. lies below the DNAME of old.contoso.com. (test.zone:4), \
                 which redirects its names elsewhere"
            ]
        );
    }

    #[test]
    fn a_delegation_hides_the_dname_below_it() {
        let text = "sub NS ns.example.net.\nsub DNAME new\na.sub.sub DNAME new\n";
        let layout = laid_out(ZonePlacement::Configured, &["contoso.com"], text).unwrap();
        let zones = publish(&layout, &[decision("contoso", 1)], None, 5);
        let zone = zones.iter().next().unwrap();
        let name = super::Name::from_text(b"x.sub.contoso.com.", None).unwrap();
        assert!(matches!(zone.find(name.key()), super::super::Found::Cut(_)));
    }
}
