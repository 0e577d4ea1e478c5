//! Descriptors: how many there may be, and how many sessions that is enough for.

use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors that the gateway needs beside sessions: log, sockets, rings, timers, memory files in transit.
const HOUSE: u64 = 64;

/// Descriptors of each shard beside its sessions: its ring, its rings with the control plane, page, doorbells, and
/// the same once more while a new control plane attaches.
const EACH_SHARD: u64 = 16;

/// Descriptors that recordings leave to the house, beside those of each shard: for what comes and goes again.
const PASSING: u64 = 16;

/// Descriptors that recordings leave to each shard: for a control plane that attaches, and one for the moment in which a
/// system call needs a socket that only a file table holds.
const PASSING_EACH: u64 = EACH_SHARD / 2;

/// Does the file of a recording leave enough descriptors to all else? The kernel gives the lowest number that is free, so
/// the number tells how many are in use.
#[must_use]
pub fn leaves_room(file: BorrowedFd<'_>, shards: usize) -> bool {
    let most = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let spared = PASSING + PASSING_EACH * shards as u64;
    u64::try_from(file.as_raw_fd()).is_ok_and(|number| number < most.saturating_sub(spared))
}

/// Raises the limit of open descriptors to what the system allows, and returns it.
#[must_use]
pub fn raise_descriptors() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let hard = limit.maximum.unwrap_or(u64::MAX);
    if limit.current != limit.maximum
        && let Err(error) =
            setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })
    {
        tracing::warn!(%error, "the limit of open descriptors cannot be raised");
        return limit.current.unwrap_or(u64::MAX);
    }
    hard
}

/// Places of a ring's file table at most (`IORING_MAX_FIXED_FILES`); the kernel allows no more than there may be
/// descriptors either.
const LARGEST_TABLE: u64 = 1 << 20;

/// A smaller table is not worth the memory of its ring: 4 MiB of receive buffers.
const SMALLEST_TABLE: u64 = 1024;

/// Rings of one shard at most: with 20,000 descriptors they hold 160,000 sockets.
const MOST_RINGS: u64 = 8;

/// What holds the sockets of a shard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Keep {
    /// A descriptor each.
    Descriptors,
    /// File tables of io_uring alone.
    Tables {
        /// Rings of a shard, each with a table.
        rings: u32,
        /// Sockets of each table.
        each: u32,
    },
}

/// What one shard may have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Share {
    /// Sessions at once.
    pub sessions: u32,
    /// RTP ports (even ones) on all media addresses together, in use and resting.
    pub ports: u32,
    /// Ports for RTCP (odd ones) at once: of parties that have it not on the port of RTP.
    pub report_ports: u32,
}

/// Fits a shard's share to the descriptors that the process may open, and tells what is to hold its sockets.
/// Descriptors are the plainer way. Where sessions would be too many for them and the kernel can do without
/// (`tables`), the sockets need none; a recording then may find none left ([`leaves_room`]).
#[must_use]
pub fn fit(wanted: Share, shards: u32, descriptors: u64, tables: bool) -> (Share, Keep) {
    let plain = fit_descriptors(wanted, shards, descriptors);
    if plain.sessions == wanted.sessions || !tables || descriptors < SMALLEST_TABLE {
        return (plain, Keep::Descriptors);
    }
    let each = descriptors.min(LARGEST_TABLE);
    let spare = for_each(shards, descriptors);
    let places = each * MOST_RINGS.min(spare);
    let ports = u64::from(wanted.ports).min(places);
    let report_ports = u64::from(wanted.report_ports).min(places - ports);
    let sessions = u64::from(wanted.sessions).min(ports / 2);
    if sessions <= u64::from(plain.sessions) {
        return (plain, Keep::Descriptors);
    }
    let narrow = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    let share =
        Share { sessions: narrow(sessions), ports: narrow(ports), report_ports: narrow(report_ports) };
    let rings = narrow((ports + report_ports).div_ceil(each));
    (share, Keep::Tables { rings, each: narrow(each) })
}

/// Fits a shard's share to the descriptors that the process may open. Each RTP port is one, in use or at rest, and
/// each session may have one recording. Ports for RTCP get what is left: calls go on without them.
fn fit_descriptors(wanted: Share, shards: u32, descriptors: u64) -> Share {
    let share = fit_calls(wanted, shards, descriptors);
    let used = u64::from(share.ports) + u64::from(share.sessions);
    let left = for_each(shards, descriptors).saturating_sub(used);
    Share { report_ports: u32::try_from(left).unwrap_or(u32::MAX).min(wanted.report_ports), ..share }
}

/// Descriptors of one shard for its sessions.
fn for_each(shards: u32, descriptors: u64) -> u64 {
    let mine = descriptors.saturating_sub(HOUSE) / u64::from(shards.max(1));
    mine.saturating_sub(EACH_SHARD)
}

fn fit_calls(wanted: Share, shards: u32, descriptors: u64) -> Share {
    let mine = for_each(shards, descriptors);
    let need = |share: Share| u64::from(share.ports) + u64::from(share.sessions);
    if need(wanted) <= mine {
        return wanted;
    }
    // First the ports that only rest go, down to twice those that all sessions use; then sessions.
    let ports = mine.saturating_sub(u64::from(wanted.sessions));
    if ports >= u64::from(wanted.sessions) * 4 {
        return Share { ports: u32::try_from(ports).unwrap_or(wanted.ports).min(wanted.ports), ..wanted };
    }
    let sessions = u32::try_from(mine / 5).unwrap_or(u32::MAX).min(wanted.sessions);
    let ports = u32::try_from(mine - u64::from(sessions)).unwrap_or(u32::MAX).min(wanted.ports);
    Share { sessions, ports, ..wanted }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_is_left_alone() {
        let wanted = Share { sessions: 1000, ports: 10_000, report_ports: 5_000 };
        assert_eq!(fit_descriptors(wanted, 1, 20_000), wanted);
    }

    #[test]
    fn ports_that_only_rest_go_first() {
        let wanted = Share { sessions: 1000, ports: 10_000, report_ports: 5_000 };
        let fitted = fit_descriptors(wanted, 1, 8_000);
        assert_eq!(fitted.sessions, 1000);
        assert!(fitted.ports < 10_000 && fitted.ports >= 4_000);
    }

    #[test]
    fn ports_for_rtcp_get_what_is_left() {
        let wanted = Share { sessions: 1000, ports: 10_000, report_ports: 10_000 };
        let house = HOUSE + EACH_SHARD;
        assert_eq!(fit_descriptors(wanted, 1, house + 13_000), Share { report_ports: 2_000, ..wanted });
        assert_eq!(fit_descriptors(wanted, 1, house + 11_000), Share { report_ports: 0, ..wanted });
    }

    #[test]
    fn sockets_beyond_the_descriptors_are_held_by_tables() {
        let wanted = Share { sessions: 20_000, ports: 40_000, report_ports: 40_000 };
        assert_eq!(fit(wanted, 1, 20_000, true), (wanted, Keep::Tables { rings: 4, each: 20_000 }));
        let (fitted, keep) = fit(wanted, 1, 20_000, false);
        assert!(fitted.sessions < 4_000 && keep == Keep::Descriptors);
        // Where descriptors are enough for the sessions, they are used.
        let few = Share { sessions: 1000, ports: 20_000, report_ports: 20_000 };
        assert_eq!(fit(few, 1, 20_000, true).1, Keep::Descriptors);
        assert_eq!(fit(wanted, 1, 1 << 20, true), (wanted, Keep::Descriptors));
    }

    #[test]
    fn tables_are_not_without_end() {
        let wanted = Share { sessions: 20_000, ports: 40_000, report_ports: 40_000 };
        assert_eq!(fit(wanted, 1, 1000, true).1, Keep::Descriptors);
        let (fitted, keep) = fit(wanted, 1, 1024, true);
        assert_eq!(keep, Keep::Tables { rings: 8, each: 1024 });
        assert_eq!(fitted, Share { sessions: 4096, ports: 8192, report_ports: 0 });
    }

    #[test]
    fn whatever_the_limit_the_sum_fits() {
        for descriptors in [0, 100, 256, 1024, 4096, 65_536] {
            for shards in [1, 2, 16] {
                let fitted = fit_descriptors(
                    Share { sessions: 4000, ports: 10_000, report_ports: 10_000 },
                    shards,
                    descriptors,
                );
                let sockets = u64::from(fitted.ports) + u64::from(fitted.report_ports);
                let each = u64::from(fitted.sessions) + sockets + EACH_SHARD;
                assert!(fitted.sessions == 0 || each * u64::from(shards) + HOUSE <= descriptors);
                assert!(fitted.ports >= fitted.sessions * 2 || fitted.sessions == 0);
            }
        }
    }
}
