//! The systems that objects and libraries are for, as their load commands tell.
//!
//! Code that says nothing is for any. What is *zippered* is for macOS and for programs of iOS on it (Mac Catalyst), and has a
//! command for each. Images are for macOS. Source: `mach-o/loader.h`.

#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation
)]

use object::LittleEndian as LE;
use object::macho;
use object::read::macho::{LoadCommandData, LoadCommandVariant};

use crate::error::Error;

/// A system and its versions, each as `xxxx.yy.zz` in 16, 8 and 8 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Platform {
    /// `PLATFORM_*`
    pub(crate) platform: u32,
    /// The oldest version that the code runs on.
    pub(crate) minimum: u32,
    /// The version of the SDK.
    pub(crate) sdk: u32,
}

/// Names of systems by their numbers, from 1.
const NAMES: [&str; 12] = [
    "macOS",
    "iOS",
    "tvOS",
    "watchOS",
    "bridgeOS",
    "Mac Catalyst",
    "the iOS simulator",
    "the tvOS simulator",
    "the watchOS simulator",
    "DriverKit",
    "visionOS",
    "the visionOS simulator",
];

impl Platform {
    /// `PLATFORM_MACOS`
    pub(crate) const MACOS: u32 = 1;
    const IOS: u32 = 2;
    const TVOS: u32 = 3;
    const WATCHOS: u32 = 4;

    /// The system that a load command tells, if it is of those that do.
    pub(super) fn told_by(command: &LoadCommandData<'_, LE>, variant: &LoadCommandVariant<'_, LE>) -> Option<Self> {
        let (platform, minimum, sdk) = match variant {
            LoadCommandVariant::BuildVersion(version, _) => (version.platform.get(LE).0, version.minos, version.sdk),
            LoadCommandVariant::VersionMin(version) => {
                let platform = match command.cmd() {
                    macho::LC_VERSION_MIN_MACOSX => Self::MACOS,
                    macho::LC_VERSION_MIN_IPHONEOS => Self::IOS,
                    macho::LC_VERSION_MIN_TVOS => Self::TVOS,
                    macho::LC_VERSION_MIN_WATCHOS => Self::WATCHOS,
                    _ => return None,
                };
                (platform, version.version, version.sdk)
            }
            _ => return None,
        };
        Some(Self { platform, minimum: minimum.get(LE).0, sdk: sdk.get(LE).0 })
    }

    /// Of what several commands tell the part that counts: what they say of macOS or, without that, the first.
    pub(super) fn before(known: Option<Self>, other: Option<Self>) -> Option<Self> {
        let is_macos = |platform: &Self| platform.platform == Self::MACOS;
        known.filter(is_macos).or(other.filter(is_macos)).or(known).or(other)
    }

    /// Checks that it is the one that images are for; `file` says that it is for it.
    ///
    /// # Errors
    /// [`Error::Incompatible`].
    pub(super) fn check(self, file: impl ToString) -> Result<(), Error> {
        if self.platform == Self::MACOS {
            return Ok(());
        }
        let name = (self.platform as usize).checked_sub(1).and_then(|at| NAMES.get(at));
        Err(Error::Incompatible {
            file: file.to_string(),
            what: match name {
                Some(name) => format!("is for {name}"),
                None => format!("is for a system with the number {}", self.platform),
            },
            other: "the image".to_owned(),
            other_what: "is for macOS".to_owned(),
        })
    }
}
