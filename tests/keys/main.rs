//! A zone's keys over years of virtual time: whatever owners, operators, clocks and crashes do, a validator that holds
//! every answer as long as it may never finds one bogus. Each life prints its seed when it fails.

#![allow(clippy::unwrap_used)]

mod chain;
mod life;
mod procedures;
mod validator;
