//! Processes that the rig starts: always ended with it, and what they cost.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Pid;

/// How long one may take to end when it is asked to: as long as systemd gives the gateway.
const ENDING: Duration = Duration::from_secs(10);

/// A process of ours; killed and waited for when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    name: &'static str,
}

impl Process {
    /// Starts it on one processor core, or on all, its output going to `log`.
    ///
    /// # Errors
    /// The system's.
    pub fn start(
        name: &'static str,
        core: Option<usize>,
        program: &Path,
        arguments: &[String],
        log: &Path,
    ) -> io::Result<Self> {
        Self::start_in(None, name, core, program, arguments, log)
    }

    /// Starts it in a network namespace, given by a path, or in the rig's own.
    ///
    /// # Errors
    /// The system's.
    pub fn start_in(
        namespace: Option<&str>,
        name: &'static str,
        core: Option<usize>,
        program: &Path,
        arguments: &[String],
        log: &Path,
    ) -> io::Result<Self> {
        let log = fs::File::create(log)?;
        // Each becomes the next and the program in the end, so the process number is the program's. setpriv ends it with the rig,
        // however the rig ends; without taskset it would inherit the rig's own core.
        let cores = core.map_or_else(all_cores, |core| core.to_string());
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "TERM", "taskset", "--cpu-list", &cores]);
        if let Some(namespace) = namespace {
            command.args(["nsenter", &format!("--net={namespace}")]);
        }
        command.arg(program);
        let child = command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", program.display())))?;
        Ok(Self { child, name })
    }

    /// Lets all of its threads come before others on their cores, as far as shares of time go: for a forwarder at its
    /// capacity. One with a real-time priority would leave nothing to others, and the kernel then takes 50 ms of each
    /// second for them, at once.
    ///
    /// # Errors
    /// We are not root, or it has ended.
    pub fn favor(&self) -> io::Result<()> {
        self.threads()?.into_iter().try_for_each(|thread| {
            rustix::process::setpriority_process(Some(thread), FAVOR)?;
            Ok(())
        })
    }

    /// Puts all of its threads before all else on their cores, at [`FIRST`]: for a forwarder that has time to spare.
    ///
    /// # Errors
    /// We are not root, or it has ended.
    pub fn put_first(&self) -> io::Result<()> {
        self.threads()?.into_iter().try_for_each(|thread| schedule(thread, Class::First(FIRST)))
    }

    fn threads(&self) -> io::Result<Vec<Pid>> {
        let number = |task: PathBuf| Pid::from_raw(task.file_name()?.to_str()?.parse().ok()?);
        self.tasks()?.map(|task| number(task?).ok_or(io::ErrorKind::InvalidData.into())).collect()
    }

    /// The folders of its threads.
    fn tasks(&self) -> io::Result<impl Iterator<Item = io::Result<PathBuf>>> {
        Ok(fs::read_dir(format!("/proc/{}/task", self.id()))?.map(|task| Ok(task?.path())))
    }

    /// Its process number.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Processor time that it has used, user and system, in nanoseconds.
    ///
    /// # Errors
    /// It has ended.
    pub fn cpu(&self) -> io::Result<u64> {
        let mut sum = 0;
        for task in self.tasks()? {
            sum += thread_time(&task?);
        }
        Ok(sum)
    }

    /// Processor time of those of its threads whose names begin so, in nanoseconds.
    ///
    /// # Errors
    /// It has ended.
    pub fn cpu_of(&self, name: &str) -> io::Result<u64> {
        let mut sum = 0;
        for task in self.tasks()? {
            let task = task?;
            if fs::read_to_string(task.join("comm")).is_ok_and(|found| found.starts_with(name)) {
                sum += thread_time(&task);
            }
        }
        Ok(sum)
    }

    /// Memory of its own and shared that is resident, in bytes.
    ///
    /// # Errors
    /// It has ended.
    pub fn resident(&self) -> io::Result<u64> {
        let text = fs::read_to_string(format!("/proc/{}/status", self.id()))?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kibibytes = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
        kibibytes.map(|count| count * 1024).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Asks it to end, and waits at most so long; true if it has ended by itself.
    pub fn stop(&mut self, patience: Duration) -> bool {
        let Some(pid) = i32::try_from(self.id()).ok().and_then(rustix::process::Pid::from_raw) else {
            return false;
        };
        // If it has gone already, so much the better.
        let _gone = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let end = Instant::now() + patience;
        while self.runs() {
            if Instant::now() > end {
                return false;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        true
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.runs() && !self.stop(ENDING) {
            remark(&format!("{} does not end; killing it", self.name));
            let _killed = self.child.kill();
        }
        let _status = self.child.wait();
    }
}

/// Processor time of a thread, by its folder. One may end between the two looks; its time is lost to the figure, which
/// none of ours does.
fn thread_time(task: &Path) -> u64 {
    let text = fs::read_to_string(task.join("schedstat")).unwrap_or_default();
    text.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(0)
}

fn all_cores() -> String {
    let online = fs::read_to_string("/sys/devices/system/cpu/online");
    online.map_or_else(|_| "0-1".to_owned(), |text| text.trim().to_owned())
}

/// A remark on standard error, apart from the table.
pub fn remark(text: &str) {
    use std::io::Write;
    let _written = writeln!(io::stderr(), "rig: {text}");
}

/// How the kernel schedules a thread.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Class {
    /// When nobody else wants the core.
    Idle,
    /// As any other.
    Normal,
    /// Before all that have no such priority, and higher ones before lower ones.
    First(u8),
}

/// Schedules a thread so from now on.
///
/// # Errors
/// We are not root, there is no such thread, or no `chrt`.
pub fn schedule(thread: Pid, class: Class) -> io::Result<()> {
    let (kind, priority) = match class {
        Class::Idle => ("--idle", 0),
        Class::Normal => ("--other", 0),
        Class::First(priority) => ("--fifo", priority),
    };
    let numbers = [priority.to_string(), thread.as_raw_nonzero().to_string()];
    let status = Command::new("chrt").args([kind, "--pid"]).args(numbers).status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other("chrt fails")) }
}

/// The real-time priority of forwarders whose delay is measured, all alike, as on cores that an operator keeps for them:
/// what else a machine does now and then (on one that we have seen, 20 ms of each second, favored) would be taken for
/// their delay. The thread that watches for stalls comes before them.
pub const FIRST: u8 = 40;

/// The nice value of those whose capacity is measured, all alike, for the same reason; and of a generator that keeps its
/// time.
pub const FAVOR: i32 = -20;

/// Keeps the calling thread on one core.
///
/// # Errors
/// There is no such core.
pub fn pin(core: usize) -> io::Result<()> {
    let mut set = rustix::thread::CpuSet::new();
    set.set(core);
    Ok(rustix::thread::sched_setaffinity(None, &set)?)
}

/// Lets this process, and those that it starts, open as many files as the host allows: as root more than it was
/// granted, for 20,000 pairs have 40,000 sockets.
///
/// # Errors
/// The system's.
pub fn raise_descriptor_limit() -> io::Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let most = fs::read_to_string("/proc/sys/fs/nr_open").ok().and_then(|text| text.trim().parse().ok());
    if setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most }).is_ok() {
        return Ok(());
    }
    let limit = getrlimit(Resource::Nofile);
    Ok(setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?)
}

/// Datagrams that the kernel dropped at sockets of an IPv4 address, because their queues were full: one count for
/// `port` (0: all ports of the address), in the network namespace of the calling thread.
#[must_use]
pub fn kernel_drops(address: std::net::Ipv4Addr, port: u16) -> u64 {
    let Ok(text) = fs::read_to_string("/proc/thread-self/net/udp") else { return 0 };
    // The table prints addresses as the host's byte order has them.
    let wanted = format!("{:08X}", u32::from_ne_bytes(address.octets()));
    let drops = text.lines().skip(1).filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (ip, hexadecimal) = words.get(1)?.split_once(':')?;
        let right = ip == wanted && (port == 0 || u16::from_str_radix(hexadecimal, 16).ok()? == port);
        if right { words.last()?.parse::<u64>().ok() } else { None }
    });
    drops.sum()
}
