//! `repoint pool`: the pools, who uses them, and drains.

use std::process::ExitCode;

use super::change::ChangeOptions;
use super::client::segment;
use super::complete;
use super::drain::{DrainOptions, Drained, drain, undrain};
use super::failure::Failure;
use super::paint::{Paint, Tone};
use super::session::Session;
use super::status::{overrides, tone_of, verdict_word};
use super::table::{Cell, Table};
use crate::control::Explanation;
use crate::decide::OverrideKey;
use crate::engine::{PoolView, View};

/// Look at pools, and take them out of use.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Pool {
    /// One line per pool
    List,
    /// A pool with its targets, routes and checks
    Show {
        /// The pool's name
        #[arg(add = complete::pools())]
        pool: String,
    },
    /// Put a pool last in every route, and leave it where it is active and another pool is up
    ///
    /// Connections that are established stay: DNS does not move them. Wait for the TTL and close them on the pool before
    /// it is stopped.
    #[command(
        after_help = "Example:\n  repoint pool drain edgepool1 --for 2h --reason \"SR-1234: firmware\""
    )]
    Drain {
        /// The pool's name
        #[arg(add = complete::pools())]
        pool: String,
        /// Do not use it at all, not even last
        #[arg(long)]
        never: bool,
        #[command(flatten)]
        options: DrainOptions,
    },
    /// End the drain of a pool. Nothing moves by that alone
    #[command(after_help = "Example:\n  repoint pool undrain edgepool1")]
    Undrain {
        /// The pool's name
        #[arg(add = complete::pools())]
        pool: String,
        #[command(flatten)]
        options: ChangeOptions,
    },
}

impl Pool {
    pub(super) fn run(&self, session: &Session) -> Result<ExitCode, Failure> {
        match self {
            Pool::List => {
                let reply = session.client.get("/v1/pools")?;
                session.answer::<Vec<PoolView>>(&reply, |pools, paint| list(pools, paint))
            }
            Pool::Show { pool } => {
                // Asked for first, so that a wrong name is answered with those near to it.
                let reply = session
                    .client
                    .get(&format!("/v1/pools/{}", segment(pool)))?;
                if session.json {
                    return session.answer::<PoolView>(&reply, |_, _| String::new());
                }
                let pool: PoolView = session.client.read(&reply)?;
                let reply = session.client.get("/v1/status")?;
                session.answer::<View>(&reply, |view, paint| show(&pool, view, paint))
            }
            Pool::Drain {
                pool,
                never,
                options,
            } => drain(session, &drained(pool), *never, options),
            Pool::Undrain { pool, options } => undrain(session, &drained(pool), options),
        }
    }
}

fn drained(pool: &str) -> Drained<'_> {
    Drained {
        noun: "pool",
        name: pool,
        path: format!("/v1/pools/{}/drain", segment(pool)),
    }
}

/// One line per pool; `*` marks the routes where it is active.
pub(super) fn list(pools: &[PoolView], paint: Paint) -> String {
    let mut table = Table::headed([
        "pool",
        "site",
        "verdict",
        "",
        "targets",
        "routes (* active)",
    ]);
    for pool in pools {
        let targets: Vec<&str> = pool.targets.iter().map(|t| t.as_str()).collect();
        table.row([
            pool.name.as_str().into(),
            pool.site.as_ref().map_or("-", |site| site.as_str()).into(),
            Cell::toned(tone_of(pool.verdict), verdict_word(pool.verdict)),
            Cell::toned(Tone::Doubtful, if pool.drained { "drained" } else { "" }),
            targets.join(", ").into(),
            routes(pool).into(),
        ]);
    }
    table.render(paint)
}

fn routes(pool: &PoolView) -> String {
    let routes: Vec<String> = pool
        .routes
        .iter()
        .map(|(route, active)| format!("{route}{}", if *active { "*" } else { "" }))
        .collect();
    match routes.is_empty() {
        true => "-".into(),
        false => routes.join(", "),
    }
}

/// A pool with what each route sees of it.
pub(super) fn show(pool: &PoolView, view: &View, paint: Paint) -> String {
    let mut out = paint.heading(&format!("pool {}", pool.name), &view.at.to_string());
    let verdict = paint.tone(tone_of(pool.verdict), verdict_word(pool.verdict));
    out.push_str(&format!(
        "verdict  {verdict} (the worst any route has of it)\n"
    ));
    if let Some(site) = &pool.site {
        out.push_str(&format!("site     {site}\n"));
    }
    let targets: Vec<&str> = pool.targets.iter().map(|t| t.as_str()).collect();
    out.push_str(&format!("targets  {}\n", targets.join(", ")));
    out.push_str(&format!("routes   {}\n", routes(pool)));
    let drains: Vec<_> =
        view.overrides
            .iter()
            .filter(|value| match &value.key {
                OverrideKey::DrainPool { pool: name }
                | OverrideKey::DrainTarget { pool: name, .. } => *name == pool.name,
                _ => false,
            })
            .cloned()
            .collect();
    if !drains.is_empty() {
        out.push('\n');
        out.push_str(&overrides(&drains, view));
    }
    for route in pool.routes.keys() {
        let Some(it) = Explanation::of(view, route) else {
            continue;
        };
        for seen in it.route.pools.iter().filter(|seen| seen.pool == pool.name) {
            out.push('\n');
            out.push_str(&paint.heading(&format!("as route {route} sees it"), ""));
            out.push_str(&super::explain::pool_checks(&it, seen, paint));
        }
    }
    out
}
