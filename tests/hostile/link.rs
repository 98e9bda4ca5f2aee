//! One link of hostile inputs, and what must be true of it.

use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use pkgld::{Input, Inputs, Mode, Options, Source};

use super::meter;
use super::mutate::Random;
use super::objects::{ALLOC, Object, PROGBITS, Section, WRITE};
use super::wellformed::{self, Imports};

/// The most bytes a link may hold for each byte of its inputs.
pub(crate) const FACTOR: u64 = 64;
/// The most bytes a link may hold beyond that.
pub(crate) const BASE: u64 = 2 << 20;

/// The most processor time a link may take, as a multiple of what the good inputs take with the same options and of what it
/// takes to make an image of zeros of that size.
pub(crate) const WORK: f64 = 16.0;
/// Of so little the clock's own noise is a large part.
const SHORT: Duration = Duration::from_millis(3);

/// What came of a link.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The image, or the message.
    pub(crate) result: Result<Vec<u8>, String>,
    /// The most bytes held, without what [`FACTOR`] does not count, for each byte of input.
    pub(crate) factor: u64,
    /// The most bytes held beyond twice the image.
    pub(crate) held: u64,
    /// The processor time it took.
    pub(crate) time: Duration,
    /// How often it took the time that is right for it, if [`costs`] was asked.
    pub(crate) work: f64,
}

/// Options for damaged inputs: no threads, so that memory can be counted, and images of at most 64 MiB.
pub(crate) fn options() -> Options {
    // What the image is for is what the first object says.
    let mut options = Options::default();
    options.threads = NonZeroUsize::new(1);
    options.limits.output_size = 64 << 20;
    options.limits.decompressed_size = 4 << 20;
    options
}

/// Options that vary.
pub(crate) fn any_options(random: &mut Random) -> Options {
    let mut options = options();
    let undefined = [pkgld::Undefined::Allow, pkgld::Undefined::Warn];
    options.undefined = if random.once_in(8) { pkgld::Undefined::Error } else { *random.pick(&undefined) };
    options.allow_multiple_definition = !random.once_in(4);
    options.gc_sections = random.once_in(3);
    options.map = random.once_in(4);
    options.strip = *random.pick(&[pkgld::Strip::None, pkgld::Strip::None, pkgld::Strip::Debug, pkgld::Strip::All]);
    options.elf.relr = random.once_in(3);
    options.elf.now = random.once_in(3);
    options.elf.relro = !random.once_in(4);
    options.elf.text = random.once_in(4);
    options.elf.eh_frame_hdr = !random.once_in(4);
    options.elf.build_id = random.pick(&[pkgld::BuildId::None, pkgld::BuildId::Fast, pkgld::BuildId::Bytes20]).clone();
    options.elf.hash_style = *random.pick(&[pkgld::HashStyle::Both, pkgld::HashStyle::Gnu, pkgld::HashStyle::Sysv]);
    options.elf.symbolic = *random.pick(&[pkgld::Symbolic::None, pkgld::Symbolic::All, pkgld::Symbolic::Functions]);
    if random.once_in(8) {
        options.elf.max_page_size = Some(1 << (12 + random.below(10)));
    }
    if random.once_in(8) {
        options.elf.compress_debug =
            Some(*random.pick(&[pkgld::DebugCompression::Zlib, pkgld::DebugCompression::Zstd]));
    }
    if random.once_in(6) {
        options.elf.separate_debug_file = Some("image.debug".into());
    }
    if random.once_in(8) {
        let value = pkgld::SymbolValue::Symbol("end".into(), 8);
        options.defined_symbols = vec![("aliased".into(), value)];
        options.required_symbols = vec!["__start_foo".into(), "etext".into()];
    }
    options
}

/// All members of archives take part.
pub(crate) fn whole() -> Mode {
    let mut mode = Mode::default();
    mode.whole_archive = true;
    mode
}

/// Links, and checks what must be true of every link.
///
/// # Errors
/// What is not true.
pub(crate) fn link(name: &str, inputs: &[(&str, &[u8], Mode)], options: &Options) -> Result<Outcome, String> {
    let size: u64 = inputs.iter().map(|(_, bytes, _)| bytes.len() as u64).sum();
    let run = || {
        catch_unwind(AssertUnwindSafe(|| {
            let inputs = inputs.iter().map(|(name, bytes, mode)| Input {
                source: Source::Bytes { name: (*name).to_owned(), bytes },
                mode: *mode,
            });
            let inputs = Inputs::open(inputs.collect(), options)?;
            let image = pkgld::link(&inputs, options)?;
            let (bytes, report) = image.to_vec()?;
            if report.size != bytes.len() as u64 {
                return Ok(Err(format!("{} bytes, and the report says {}", bytes.len(), report.size)));
            }
            // Whatever was in the buffer is gone.
            let mut poisoned = vec![0xa5; bytes.len()];
            image.write_into(&mut poisoned)?;
            if poisoned != bytes {
                return Ok(Err("the image differs between to_vec and write_into".to_owned()));
            }
            drop(poisoned);
            let mut same = Compare { expected: &bytes, at: 0, same: true };
            let streamed = image.write_to(&mut same)?;
            if !same.same || same.at != bytes.len() || streamed.crc32c != report.crc32c {
                return Ok(Err("the image differs between to_vec and write_to".to_owned()));
            }
            if let Some(companion) = image.companion() {
                companion.write_to(&mut std::io::sink())?;
            }
            Ok::<_, pkgld::Errors>(Ok(bytes))
        }))
    };
    let (result, held, time) = meter::measure(name, run);
    let result = match result {
        Err(_) => return Err(format!("panic: {}", last_panic())),
        Ok(Err(errors)) => Err(errors.to_string()),
        Ok(Ok(bytes)) => Ok(bytes?),
    };
    let produced = result.as_ref().map_or(0, |bytes| bytes.len() as u64);
    let counted = held.saturating_sub(BASE + options.limits.decompressed_size + 2 * produced);
    let factor = counted / size.max(1);
    if factor >= FACTOR {
        return Err(format!("{held} bytes held for {size} bytes of input and an image of {produced}"));
    }
    if let Ok(bytes) = &result {
        // Damage can make a section one of the import tables that import libraries bring.
        match catch_unwind(AssertUnwindSafe(|| wellformed::check(bytes, Imports::Given))) {
            Ok(checked) => checked?,
            Err(_) => return Err(format!("panic while checking the image: {}", last_panic())),
        }
    }
    Ok(Outcome { result, factor, held: held.saturating_sub(2 * produced), time, work: 0.0 })
}

/// Fills in [`Outcome::work`], and checks it: `good` are the inputs as they were before they were damaged.
///
/// # Errors
/// The link takes too long.
pub(crate) fn costs(
    name: &str,
    outcome: &mut Outcome,
    inputs: &[(&str, &[u8], Mode)],
    good: &[(&str, &[u8], Mode)],
    options: &Options,
) -> Result<(), String> {
    if outcome.time < SHORT {
        return Ok(());
    }
    let image = |outcome: &Outcome| outcome.result.as_ref().map_or(0, Vec::len) as f64;
    let clean = link(name, good, options)?;
    let larger = (image(outcome) - image(&clean)).max(0.0) * second_of_zeros();
    let allowed = clean.time.max(SHORT).as_secs_f64() + larger;
    // What else runs on the machine can make a link slower now and then, but not each time.
    for _ in 0..3 {
        if outcome.time.as_secs_f64() > WORK * allowed {
            outcome.time = outcome.time.min(link(name, inputs, options)?.time);
        }
    }
    outcome.work = outcome.time.as_secs_f64() / allowed;
    if outcome.work > WORK {
        return Err(format!("{:?}, which is {:.1} times what it may take: {allowed:.3} s", outcome.time, outcome.work));
    }
    Ok(())
}

/// The processor time in seconds that a byte of the image costs that no relocation touches.
fn second_of_zeros() -> f64 {
    static COST: std::sync::OnceLock<f64> = std::sync::OnceLock::new();
    *COST.get_or_init(|| {
        const SIZE: usize = 8 << 20;
        let mut object = Object::new();
        object.section(Section::new(".data", PROGBITS, ALLOC | WRITE, &vec![0; SIZE]));
        let bytes = object.build();
        let times = (0..3).map(|_| link("zeros", &[("zeros", &bytes, whole())], &options()).unwrap().time);
        times.min().unwrap().as_secs_f64() / SIZE as f64
    })
}

/// Compares what is written with what is expected.
struct Compare<'e> {
    expected: &'e [u8],
    at: usize,
    same: bool,
}

impl std::io::Write for Compare<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.same &= self.expected.get(self.at..self.at + bytes.len()) == Some(bytes);
        self.at += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

thread_local! {
    static PANIC: std::cell::RefCell<String> = const { std::cell::RefCell::new(String::new()) };
}

pub(crate) fn last_panic() -> String {
    PANIC.with(|text| text.take())
}

/// Keeps the message of a panic for the report instead of printing it at once.
pub(crate) fn quiet_panics() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if info.location().is_some_and(|place| place.file().contains("tests/hostile")) {
                return usual(info);
            }
            PANIC.with(|text| *text.borrow_mut() = info.to_string());
        }));
    });
}
