//! Brings the program to the interfaces, and takes it away.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use aya::programs::links::{FdLink, PinnedLink};
use aya::programs::xdp::{XdpLink, XdpLinkId};
use aya::programs::{ProgramError, Xdp, XdpMode};

use crate::counters::PathCounters;
use crate::error::{Error, kernel, system_error};
use crate::interfaces::{self, Interface};
use crate::lookups;
use crate::pins::Pins;
use crate::probe;
use crate::program::{self, Program};
use crate::settings::{InterfaceMode, MOST_ADDRESSES, MOST_RINGS, Mode, Settings};
use crate::table::FlowTable;
use crate::tap::Tap;

/// An interface that the program runs on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Attached {
    /// Its name.
    pub interface: String,
    /// Its number.
    pub number: u32,
    /// How the program runs there.
    pub mode: InterfaceMode,
    /// Why not in the driver, if that was tried.
    pub fallback: Option<String>,
}

/// Something that works less well than it could. The display says what to do.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Warning {
    /// The path works, but ends with the process.
    #[error(
        "pairs on the fast path do not survive this process, because {folder} cannot hold pins ({reason}): mount -t bpf bpf /sys/fs/bpf"
    )]
    NoPins {
        /// Where the pins should be.
        folder: PathBuf,
        /// Why they cannot.
        reason: String,
    },
    /// Pins of another version or of other settings were found and removed.
    #[error("the fast path starts anew: pins of another version or of other settings were removed")]
    StartedAnew,
    /// Next hops cannot be looked up, so that every packet goes by the sockets.
    #[error(
        "next hops cannot be looked up, so every packet goes by the sockets: write 1 to {setting}, or install systemd/sysctl.d/60-duogate.conf and run `sysctl --system` ({reason})"
    )]
    NoForwarding {
        /// The kernel's setting, as a file.
        setting: &'static str,
        /// Why this process could not write it.
        reason: String,
    },
}

/// The fast path, loaded. Dropping it leaves what is pinned at work, and takes the rest away.
#[derive(Debug)]
pub struct FastPath {
    program: Program,
    table: FlowTable,
    taps: Vec<Option<Tap>>,
    attached: Vec<Attached>,
    warnings: Vec<Warning>,
    pins: Option<Pins>,
    /// Links that are pinned; one that is not pinned belongs to the program.
    _links: Vec<PinnedLink>,
}

impl FastPath {
    /// Loads the program and attaches it, or adopts what an earlier process left pinned: then the program is
    /// replaced, and flows that are on stay on ([`FlowTable::entries_on`]).
    ///
    /// # Errors
    /// Whatever stands in the way; the gateway then works by its sockets alone.
    pub fn load(settings: &Settings) -> Result<Self, Error> {
        program::available()?;
        check(settings)?;
        Self::load_on(settings, interfaces::choose(settings)?)
    }

    /// As [`FastPath::load`], taking every interface for one with a device behind it, where each packet has its full
    /// checksum: for tests, which have only virtual interfaces.
    ///
    /// # Errors
    /// As [`FastPath::load`].
    #[doc(hidden)]
    pub fn load_as_on_devices(settings: &Settings) -> Result<Self, Error> {
        let mut interfaces = interfaces::choose(settings)?;
        interfaces.iter_mut().for_each(|interface| interface.is_virtual = false);
        Self::load_on(settings, interfaces)
    }

    fn load_on(settings: &Settings, interfaces: Vec<Interface>) -> Result<Self, Error> {
        if !probe::is_permitted() {
            return Err(Error::NotPermitted(rustix::io::Errno::PERM.into()));
        }
        let mut warnings = Vec::new();
        let pins = take_pins(settings, &mut warnings)?;
        let folder = pins.as_ref().map(Pins::folder);
        let mut plans = plan(settings, interfaces, pins.as_ref());
        let (mut program, links) = bring(settings, &mut plans, pins.as_ref())?;
        let rings = program.rings(settings, folder)?;
        let addresses = u32::try_from(settings.addresses.len()).unwrap_or(0);
        let table = FlowTable::map(program.table()?.fd().as_fd(), addresses, settings.rings)
            .map_err(|source| Error::System { what: "mapping the table of flows", source })?;
        lookups::allow(settings, &mut warnings);
        let taps = rings.into_iter().map(|ring| Some(Tap::new(ring))).collect();
        let attached = plans.into_iter().map(Plan::into_attached).collect();
        Ok(Self { program, table, taps, attached, warnings, pins, _links: links })
    }

    /// The table of flows; clones of it share the memory.
    #[must_use]
    pub const fn table(&self) -> &FlowTable {
        &self.table
    }

    /// Takes the tap of one shard, once.
    pub fn take_tap(&mut self, ring: u8) -> Option<Tap> {
        self.taps.get_mut(usize::from(ring))?.take()
    }

    /// The interfaces, and how the program runs on each.
    #[must_use]
    pub fn attached(&self) -> &[Attached] {
        &self.attached
    }

    /// What works less well than it could.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// Maps of an earlier process are in use, with the flows that were on.
    #[must_use]
    pub fn is_adopted(&self) -> bool {
        self.pins.as_ref().is_some_and(|pins| pins.adopted)
    }

    /// What the program did since it was loaded first. One system call.
    ///
    /// # Errors
    /// The kernel's.
    pub fn counters(&self) -> Result<PathCounters, Error> {
        self.program.counters()
    }

    /// The program in the kernel, for tests and measurements that run it on frames of their own.
    ///
    /// # Errors
    /// None that can be met once the program is loaded.
    pub fn program(&self) -> Result<&aya::programs::Xdp, Error> {
        self.program.loaded()
    }

    /// Takes the program from the interfaces. With `remove_pins` nothing stays; without, what is pinned works on.
    ///
    /// # Errors
    /// Pins could not be removed.
    pub fn unload(self, remove_pins: bool) -> Result<(), Error> {
        match &self.pins {
            Some(pins) if remove_pins => pins.remove(),
            _ => Ok(()),
        }
    }
}

fn check(settings: &Settings) -> Result<(), Error> {
    if settings.addresses.is_empty() || settings.addresses.len() > MOST_ADDRESSES {
        return Err(Error::Settings("between one and eight media addresses are possible"));
    }
    if settings.addresses.iter().any(|address| address.is_unspecified() || address.is_multicast()) {
        return Err(Error::Settings("each media address must be one host's"));
    }
    if settings.addresses.iter().any(std::net::IpAddr::is_loopback) {
        return Err(Error::Loopback);
    }
    if usize::from(settings.rings) > MOST_RINGS {
        return Err(Error::Settings("more rings than the program can address"));
    }
    let page = u32::try_from(rustix::param::page_size()).unwrap_or(4096);
    if settings.rings != 0 && (!settings.ring_octets.is_power_of_two() || settings.ring_octets < page) {
        return Err(Error::Settings("a ring's size is a power of two, and at least a page"));
    }
    Ok(())
}

fn take_pins(settings: &Settings, warnings: &mut Vec<Warning>) -> Result<Option<Pins>, Error> {
    let Some(folder) = &settings.pin else { return Ok(None) };
    match Pins::take(folder, settings) {
        Ok(pins) => {
            if pins.removed && !pins.adopted {
                warnings.push(Warning::StartedAnew);
            }
            Ok(Some(pins))
        }
        Err(Error::Pins { source, .. }) => {
            warnings.push(Warning::NoPins { folder: folder.clone(), reason: source.to_string() });
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// An interface, and how the program shall run there.
struct Plan {
    interface: Interface,
    mode: InterfaceMode,
    fallback: Option<String>,
}

impl Plan {
    fn into_attached(self) -> Attached {
        let Interface { name, number, .. } = self.interface;
        Attached { interface: name, number, mode: self.mode, fallback: self.fallback }
    }
}

/// As an earlier process left it, if that is allowed; else as the settings like it best.
fn plan(settings: &Settings, interfaces: Vec<Interface>, pins: Option<&Pins>) -> Vec<Plan> {
    let allowed: &[InterfaceMode] = match settings.mode {
        Mode::Auto => &[InterfaceMode::Native, InterfaceMode::Generic],
        Mode::Generic => &[InterfaceMode::Generic],
        Mode::Native => &[InterfaceMode::Native],
    };
    let plan = |interface| {
        let left = |mode: &&InterfaceMode| pins.is_some_and(|pins| pins.link(&interface, **mode).exists());
        let mode = allowed.iter().find(left).or(allowed.first()).copied().unwrap_or(InterfaceMode::Generic);
        Plan { interface, mode, fallback: None }
    };
    interfaces.into_iter().map(plan).collect()
}

/// Loads and attaches the program; where a driver refuses and the settings allow it, once more for the generic hook,
/// because the modes are among the program's constants.
fn bring(
    settings: &Settings,
    plans: &mut [Plan],
    pins: Option<&Pins>,
) -> Result<(Program, Vec<PinnedLink>), Error> {
    loop {
        let pairs: Vec<_> = plans.iter().map(|plan| (plan.interface.clone(), plan.mode)).collect();
        let mut program = Program::load(settings, &pairs, pins.map(Pins::folder))?;
        let (place, error) = match attach(&mut program, plans, pins)? {
            Ok(links) => return Ok((program, links)),
            Err(refusal) => refusal,
        };
        let plan = &mut plans[place];
        let interface = plan.interface.name.clone();
        match (plan.mode, settings.mode) {
            (InterfaceMode::Native, Mode::Auto) => {
                plan.mode = InterfaceMode::Generic;
                plan.fallback = Some(reason(&error));
            }
            (InterfaceMode::Native, _) => return Err(Error::NotNative { interface, source: error.into() }),
            (InterfaceMode::Generic, _) => return Err(Error::Attach { interface, source: error.into() }),
        }
    }
}

const fn flags(mode: InterfaceMode) -> XdpMode {
    match mode {
        InterfaceMode::Native => XdpMode::Driver,
        InterfaceMode::Generic => XdpMode::Skb,
    }
}

/// An error with what caused it.
fn reason(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// Which interface refused, and how.
type Refusal = (usize, ProgramError);

fn attach(
    program: &mut Program,
    plans: &[Plan],
    pins: Option<&Pins>,
) -> Result<Result<Vec<PinnedLink>, Refusal>, Error> {
    if let Some(pins) = pins {
        // A link in another mode would stand in the way.
        let wanted: Vec<_> = plans.iter().map(|plan| pins.link(&plan.interface, plan.mode)).collect();
        pins.keep_links(&wanted)?;
    }
    let mut links = Vec::new();
    for (place, plan) in plans.iter().enumerate() {
        let path = pins.map(|pins| pins.link(&plan.interface, plan.mode));
        if let Some(path) = path.as_deref().filter(|path| path.exists()) {
            if replace(program, path).is_ok() {
                continue;
            }
            // The interface was taken away and made anew: what is pinned belongs to nothing.
            fs::remove_file(path).map_err(|source| Error::Pins { folder: path.into(), source })?;
        }
        let xdp = program.xdp()?;
        let id = match attach_patiently(xdp, plan) {
            Ok(id) => id,
            Err(error) => return permitted(error).map(|error| Err((place, error))),
        };
        if let Some(path) = path {
            let link = xdp.take_link(id).map_err(|error| kernel("link", error))?;
            let link = FdLink::try_from(link).map_err(|error| kernel("link", error))?;
            links.push(link.pin(path).map_err(|error| kernel("pin of a link", error))?);
        }
    }
    Ok(Ok(links))
}

/// How long a link whose pin was removed may still hold its interface: the kernel takes it away in the background.
const LINGERING: Duration = Duration::from_millis(500);

/// How often it is looked at meanwhile.
const LOOKING: Duration = Duration::from_millis(10);

fn attach_patiently(xdp: &mut Xdp, plan: &Plan) -> Result<XdpLinkId, ProgramError> {
    let begin = Instant::now();
    loop {
        match xdp.attach_to_if_index(plan.interface.number, flags(plan.mode)) {
            Err(error) if is_taken(&error) && begin.elapsed() < LINGERING => std::thread::sleep(LOOKING),
            result => return result,
        }
    }
}

/// Another program has the interface.
fn is_taken(error: &ProgramError) -> bool {
    let kind = system_error(error).map(io::Error::kind);
    matches!(kind, Some(io::ErrorKind::AlreadyExists | io::ErrorKind::ResourceBusy))
}

/// Lets an error pass, unless it is one of rights: no other mode helps against that.
fn permitted(error: ProgramError) -> Result<ProgramError, Error> {
    match kernel("link", error) {
        Error::Kernel { source, .. } => source
            .downcast::<ProgramError>()
            .map(|error| *error)
            .map_err(|source| Error::Kernel { what: "link", source }),
        error => Err(error),
    }
}

/// Puts the program in the place of the one that a pinned link runs, without a packet between.
fn replace(program: &mut Program, path: &Path) -> Result<(), Error> {
    let fault =
        |error: Box<dyn std::error::Error + Send + Sync>| Error::Kernel { what: "link", source: error };
    let pinned = PinnedLink::from_pin(path).map_err(|error| fault(error.into()))?;
    let link = XdpLink::try_from(FdLink::from(pinned)).map_err(|error| fault(error.into()))?;
    program.xdp()?.attach_to_link(link).map_err(|error| fault(error.into()))?;
    Ok(())
}
