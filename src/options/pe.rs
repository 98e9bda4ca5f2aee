//! What only PE images are asked for.

use std::path::PathBuf;

/// What a DLL exports beside what objects and options say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AutoExport {
    /// Every symbol of one's own objects, if nothing says what is exported: what MinGW linkers do.
    #[default]
    Unless,
    /// Every symbol of one's own objects (`--export-all-symbols`).
    All,
    /// None (`--exclude-all-symbols`).
    None,
}

/// What only PE images have.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeOptions {
    /// The DLL's name in its export directory, unless a definition file states one (`LIBRARY`); by default a constant, never
    /// the output's (`-soname`).
    pub dll_name: Option<String>,
    /// Write an import library there, beside the image ([`Image::import_library`](crate::Image::import_library);
    /// `--out-implib`).
    pub import_library: Option<PathBuf>,
    /// Write a definition file there, beside the image
    /// ([`Image::definition_file`](crate::Image::definition_file); `--output-def`).
    pub definition_file: Option<PathBuf>,
    /// The preferred address, a multiple of 64 KiB; by default 0x180000000, for 32-bit images 0x10000000 (`--image-base`).
    pub image_base: Option<u64>,
    /// What is exported without being asked for (`--export-all-symbols`, `--exclude-all-symbols`).
    pub auto_export: AutoExport,
    /// Symbols to export beside those that objects ask for.
    pub exports: Vec<String>,
    /// Symbols that are not exported automatically (`--exclude-symbols`).
    pub excluded_symbols: Vec<String>,
    /// On i386, export functions of `__stdcall` and `__fastcall` without the size of their arguments (`--kill-at`).
    pub kill_at: bool,
    /// On i386, let an export that nothing defines be a function of that name with the size of its arguments; by
    /// default with a warning (`--enable-stdcall-fixup`, `--disable-stdcall-fixup`).
    pub stdcall_fixup: Option<bool>,
    /// Let code refer to a DLL's data as if they were the image's own (`--enable-auto-import`, the
    /// default; `--disable-auto-import`).
    pub auto_import: bool,
    /// Have the image's start code correct what refers to a DLL's data in another way, as MinGW's does, where
    /// [`auto_import`](Self::auto_import) is on (`--enable-runtime-pseudo-reloc`, the default;
    /// `--disable-runtime-pseudo-reloc`).
    pub pseudo_relocs: bool,
    /// `Subsystem`: 2, a graphical program, or 3, one of the console (`--subsystem`).
    pub subsystem: u16,
    /// The version of the operating system, which no loader looks at (`--major-os-version`, `--minor-os-version`).
    pub os_version: (u16, u16),
    /// The version of Windows that is needed: major and minor number (`--major-subsystem-version`,
    /// `--minor-subsystem-version`).
    pub subsystem_version: (u16, u16),
    /// The image's own version; if it is 0.0, a definition file may state one (`--major-image-version`,
    /// `--minor-image-version`).
    pub image_version: (u16, u16),
    /// The stack of a program's first thread, bytes of address space and of memory; by default what a definition file says,
    /// or 1 MiB and 4096. A DLL's is looked at by nobody (`--stack`).
    pub stack: Option<(u64, u64)>,
    /// The same of a program's heap (`--heap`).
    pub heap: Option<(u64, u64)>,
    /// The loader may choose the address (`--dynamicbase`, the default; `--disable-dynamicbase`).
    pub dynamic_base: bool,
    /// The loader may choose among all 64-bit addresses (`--high-entropy-va`, the default; `--disable-high-entropy-va`).
    pub high_entropy_va: bool,
    /// Data are never executed (`--nxcompat`, the default; `--disable-nxcompat`).
    pub nx_compat: bool,
    /// `IMAGE_DLLCHARACTERISTICS_NO_SEH`: no structured exception is handled in the image (`--no-seh`).
    pub no_seh: bool,
    /// `IMAGE_DLLCHARACTERISTICS_NO_BIND`: the image's imports are not bound in advance (`--no-bind`).
    pub no_bind: bool,
    /// `IMAGE_DLLCHARACTERISTICS_NO_ISOLATION`: the image has no use for a manifest (`--no-isolation`).
    pub no_isolation: bool,
    /// `IMAGE_DLLCHARACTERISTICS_FORCE_INTEGRITY`: the loader is to check the image's signature (`--forceinteg`).
    pub force_integrity: bool,
    /// `IMAGE_DLLCHARACTERISTICS_APPCONTAINER`: the image runs in an app container (`--appcontainer`).
    pub app_container: bool,
    /// `IMAGE_DLLCHARACTERISTICS_WDM_DRIVER`: the image is a driver (`--wdmdriver`).
    pub wdm_driver: bool,
    /// `DependentLoadFlags` of the load configuration that an object brings: where the loader searches for what the image imports
    /// from (`--dependent-load-flag`).
    pub dependent_load_flags: Option<u16>,
    /// Begins the names of DLLs that are found by the name of a library, where these have no import library
    /// (`--dll-search-prefix`).
    pub dll_search_prefix: Option<String>,
    /// Names of sections of debug information of more than eight bytes are kept (`--enable-long-section-names`, the default;
    /// `--disable-long-section-names` cuts them).
    pub long_section_names: bool,
    /// Addresses beyond 2 GiB are no problem; by default said of 64-bit images (`--large-address-aware`).
    pub large_address_aware: Option<bool>,
    /// Have a time stamp, made of the contents (`--insert-timestamp`, the default; `--no-insert-timestamp`: zero).
    pub timestamp: bool,
    /// Have a debug directory with an identity made of the contents (`--build-id`).
    pub build_id: bool,
    /// Link an image of more than 2 GiB (`--allow-large-image`).
    pub large_image: bool,
}

impl Default for PeOptions {
    fn default() -> Self {
        Self {
            dll_name: None,
            import_library: None,
            definition_file: None,
            image_base: None,
            auto_export: AutoExport::default(),
            exports: Vec::new(),
            excluded_symbols: Vec::new(),
            kill_at: false,
            stdcall_fixup: None,
            auto_import: true,
            pseudo_relocs: true,
            subsystem: 2,
            os_version: (6, 0),
            subsystem_version: (6, 0),
            image_version: (0, 0),
            stack: None,
            heap: None,
            dynamic_base: true,
            high_entropy_va: true,
            nx_compat: true,
            no_seh: false,
            no_bind: false,
            no_isolation: false,
            force_integrity: false,
            app_container: false,
            wdm_driver: false,
            dependent_load_flags: None,
            dll_search_prefix: None,
            long_section_names: true,
            large_address_aware: None,
            timestamp: true,
            build_id: false,
            large_image: false,
        }
    }
}
