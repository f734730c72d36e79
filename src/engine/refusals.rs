//! What refuses a command: things that are not there, or that contradict what is in force.
//!
//! In: a request and the engine's state. Out: nothing to say against it, or a refusal with its four parts and a way
//! out. Never here: what the command would change; that is `plan`.

use super::command::{CHANGED_MEANWHILE, Expected, Refusal, RefusalKind, Request};
use super::core::Engine;
use crate::decide::{CommandFault, OverrideKey};
use crate::health::Verdict;
use crate::topology::{PoolName, RouteName};

impl Engine {
    pub(super) fn check_expected(&self, request: &Request) -> Result<(), Box<Refusal>> {
        let (wanted, is) = match &request.expected {
            None => return Ok(()),
            Some(Expected::Node(wanted)) => (*wanted, Some(self.zones.generation())),
            Some(Expected::Route(route, wanted)) => {
                let decision = self
                    .routes
                    .get(route)
                    .and_then(|state| state.decision.as_ref());
                (*wanted, decision.map(|decision| decision.generation))
            }
        };
        if is == Some(wanted) {
            return Ok(());
        }
        let why = match is {
            Some(is) => format!("it was meant for generation {wanted}, but {is} is in force"),
            None => format!("it was meant for generation {wanted}, which is not in force"),
        };
        Err(self.refuse(
            request,
            RefusalKind::Conflict,
            CHANGED_MEANWHILE,
            &why,
            None,
        ))
    }

    pub(super) fn check_key(
        &self,
        request: &Request,
        key: &OverrideKey,
    ) -> Result<(), Box<Refusal>> {
        match key {
            OverrideKey::Pin { route } | OverrideKey::FreezeRoute { route } => {
                if !self.topology().routes.contains_key(route) {
                    return Err(self.unknown_route(request, route));
                }
            }
            OverrideKey::DrainPool { pool } | OverrideKey::DrainTarget { pool, .. } => {
                let Some(known) = self.topology().pools.get(pool) else {
                    let known = names(self.topology().pools.keys());
                    let why = format!("there is no pool {pool}; pools: {known}");
                    return Err(self.refuse(
                        request,
                        RefusalKind::NotFound,
                        "unknown-pool",
                        &why,
                        None,
                    ));
                };
                if let OverrideKey::DrainTarget { target, .. } = key
                    && !known.targets.iter().any(|t| t.name == *target)
                {
                    let known = names(known.targets.iter().map(|t| &t.name));
                    let why = format!("pool {pool} has no target {target}; its targets: {known}");
                    return Err(self.refuse(
                        request,
                        RefusalKind::NotFound,
                        "unknown-target",
                        &why,
                        None,
                    ));
                }
            }
            OverrideKey::FreezeAll => {}
        }
        Ok(())
    }

    pub(super) fn check_pin(
        &self,
        request: &Request,
        route: &RouteName,
        pool: Option<&PoolName>,
        force: bool,
        warnings: &mut Vec<String>,
    ) -> Result<(), Box<Refusal>> {
        let Some(pool) = pool else {
            let why = "no pool was named";
            return Err(self.refuse(request, RefusalKind::Invalid, "no-pool", why, None));
        };
        let configured = &self.topology().routes[route];
        if !configured.uses(pool) {
            let why = format!(
                "pool {pool} is not in the route; its pools: {}",
                names(configured.pool_names())
            );
            return Err(self.refuse(
                request,
                RefusalKind::NotFound,
                "pool-not-in-route",
                &why,
                None,
            ));
        }
        match self
            .health
            .pool(route, pool)
            .map_or(Verdict::Unknown, |health| health.verdict)
        {
            Verdict::Down if !force => {
                let why = format!(
                    "{pool} is down: a pin wins over health, so partners could not federate until it is up"
                );
                let hint = "if that is meant, repeat it with --force".to_owned();
                return Err(self.refuse(
                    request,
                    RefusalKind::Conflict,
                    "pool-down",
                    &why,
                    Some(hint),
                ));
            }
            Verdict::Down => warnings.push(format!(
                "{pool} is down: partners cannot federate until it is up or the pin ends"
            )),
            Verdict::Unknown => warnings.push(format!("nothing is known of {pool} yet")),
            Verdict::Degraded => warnings.push(format!("{pool} is degraded")),
            Verdict::Up => {}
        }
        if self.overrides.drain(pool).is_some() {
            warnings.push(format!("{pool} is drained; the pin wins"));
        }
        Ok(())
    }

    pub(super) fn check_drain(
        &self,
        request: &Request,
        pool: &PoolName,
        never: bool,
        force: bool,
        warnings: &mut Vec<String>,
    ) -> Result<(), Box<Refusal>> {
        for route in self
            .topology()
            .routes
            .values()
            .filter(|route| route.uses(pool))
        {
            let others = route.pool_names().filter(|other| *other != pool);
            let left = others
                .filter(|other| self.overrides.drain(other).is_none())
                .count();
            if left == 0 {
                let why = format!("route {} would have no undrained pool", route.name);
                if !force {
                    let hint = "if that is meant, repeat it with --force".to_owned();
                    return Err(self.refuse(
                        request,
                        RefusalKind::Conflict,
                        "last-pool",
                        &why,
                        Some(hint),
                    ));
                }
                let stays = if never {
                    "; it stays published all the same"
                } else {
                    ""
                };
                warnings.push(format!("{why}{stays}"));
            }
            if let Some((pinned, _)) = self.overrides.pin(&route.name).filter(|(p, _)| *p == pool) {
                warnings.push(format!("route {} stays pinned to {pinned}", route.name));
            }
        }
        Ok(())
    }

    pub(super) fn move_refused(
        &self,
        request: &Request,
        route: &RouteName,
        fault: &CommandFault,
    ) -> Box<Refusal> {
        let (kind, code, hint) = match fault {
            CommandFault::Pinned(_) => (
                RefusalKind::Conflict,
                "pinned",
                Some(self.typed(format!("end the pin first: repoint unpin {route}"))),
            ),
            CommandFault::NotInRoute(_) => (
                RefusalKind::NotFound,
                "pool-not-in-route",
                Some(format!("see its pools: repoint route show {route}")),
            ),
            CommandFault::AlreadyActive(pool) => (
                RefusalKind::Conflict,
                "already-active",
                Some(self.typed(format!(
                    "to hold the route there whatever happens: repoint pin {route} {pool} --for 1h"
                ))),
            ),
            CommandFault::Down(pool) => (
                RefusalKind::Conflict,
                "pool-down",
                Some(self.typed(format!(
                    "to hold the route there all the same: repoint pin {route} {pool} --force --for 1h"
                ))),
            ),
            CommandFault::Drained(pool) => (
                RefusalKind::Conflict,
                "drained",
                Some(self.typed(format!("end the drain first: {}", self.undrain(pool)))),
            ),
            CommandFault::NoOther => (
                RefusalKind::Conflict,
                "no-other-pool",
                Some(format!("see what keeps them: repoint route explain {route}")),
            ),
        };
        self.refuse(request, kind, code, &fault.to_string(), hint)
    }

    /// The command that ends the drain of a pool; it may be drained target by target.
    pub(super) fn undrain(&self, pool: &PoolName) -> String {
        let targets = self.topology().pools.get(pool).map(|pool| &pool.targets);
        let target = targets.and_then(|targets| targets.first());
        match target.filter(|_| self.overrides.drain(pool).is_none()) {
            Some(target) => format!("repoint target undrain {}", target.name),
            None => format!("repoint pool undrain {pool}"),
        }
    }

    pub(super) fn unknown_route(&self, request: &Request, route: &RouteName) -> Box<Refusal> {
        let why = format!(
            "there is no route {route}; routes: {}",
            names(self.topology().routes.keys())
        );
        self.refuse(request, RefusalKind::NotFound, "unknown-route", &why, None)
    }

    pub(super) fn refuse(
        &self,
        request: &Request,
        kind: RefusalKind,
        code: &str,
        why: &str,
        hint: Option<String>,
    ) -> Box<Refusal> {
        let what = format!("cannot {}", request.command.describe());
        Box::new(self.refusal(kind, code, what, why.to_owned(), hint))
    }
}

fn names<T: std::fmt::Display>(names: impl Iterator<Item = T>) -> String {
    let names: Vec<String> = names.map(|name| name.to_string()).collect();
    if names.is_empty() {
        "none".into()
    } else {
        names.join(", ")
    }
}
