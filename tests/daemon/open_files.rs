//! A low limit of open files: clients never take what probes, the store and the control socket need.

use std::net::{SocketAddr, TcpStream};

use socket2::{Domain, Socket, Type};

use crate::server::{Place, Pools, Server, configuration, names};
use crate::tool::tool;

/// Starts a server with these limits of open files, soft and hard.
fn start(place: &Place, soft: u32, hard: u32) -> Server {
    let inner = place.command();
    let mut command = tool("prlimit");
    command
        .arg(format!("--nofile={soft}:{hard}"))
        .arg(inner.get_program())
        .args(inner.get_args())
        .current_dir(place.dir.path());
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let mut server = place.begin(command);
    server.address = server.answering();
    server.logged("taking commands on");
    server
}

/// A connection from another address of this machine, if it can be had.
fn connection(source: &str, to: SocketAddr) -> Option<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let source: SocketAddr = format!("{source}:0").parse().unwrap();
    socket.bind(&source.into()).unwrap();
    socket.connect(&to.into()).ok()?;
    Some(socket.into())
}

#[test]
fn a_flood_of_connections_leaves_files_for_probes_and_commands() {
    let mut pools = Pools::new();
    let place = Place::new(&configuration(&pools, &names(1), 30));
    let server = start(&place, 300, 300);
    server.logged("300 open files are allowed");
    server.pools_up();
    assert_eq!(server.active("route1"), "pool1");
    // More connections than there are files, from as many addresses as it takes.
    let held: Vec<_> = (0..600)
        .filter_map(|n| connection(&format!("127.0.3.{}", 1 + n / 10), server.address))
        .collect();
    assert!(held.len() > 300);
    pools.first = None;
    server.until("the route moves", |server| {
        server.active("route1") == "pool2"
    });
    let (code, _) = server.pin("route1", "pool1", "");
    assert_eq!(code, 200);
    assert!(
        !server.log().contains("Too many open files"),
        "{}",
        server.log()
    );
    drop(held);
}

#[test]
fn the_limit_of_open_files_is_raised_as_far_as_is_allowed() {
    let pools = Pools::new();
    let place = Place::new(&configuration(&pools, &names(1), 30));
    let server = start(&place, 256, 2048);
    server.logged("the limit of open files is raised from 256 to 2048");
    server.logged("clients have 1000 connections at most");
}

#[test]
fn config_check_says_how_the_open_files_are_divided() {
    let pools = Pools::new();
    let place = Place::new(&configuration(&pools, &names(1), 30));
    let output = tool("prlimit")
        .args(["--nofile=512:512", env!("CARGO_BIN_EXE_repoint")])
        .args(["config", "check", "repoint.toml"])
        .current_dir(place.dir.path())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("512 open files are allowed"), "{said}");
    assert!(said.contains("set LimitNOFILE="), "{said}");
}
