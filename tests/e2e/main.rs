//! Hosts, end to end: real daemons with directories of their own, real containers, and the real
//! `docker` CLI.
//!
//! These tests need root. Each starts its own daemon and ends only what it started; what a machine
//! lacks is installed from Debian, and a test that still cannot run says why and is skipped.

mod access;
mod adoption;
mod alone;
mod autolock;
mod backup;
mod devices;
mod docker_cli;
mod doctor;
mod faults;
mod fleet;
mod health;
mod host;
mod image;
mod jobs;
mod lan;
mod limits;
mod logging;
mod managers;
mod networks;
mod overlay;
mod quickstart;
mod registry;
mod remote;
mod runtime;
mod stack;
mod secrets;
mod sharing;
mod templates;
mod tools;
mod volumes;
mod updates;
