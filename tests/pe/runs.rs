//! What start files bring to life, under wine: thread-local data, data of DLLs that are not declared as such, constructors,
//! destructors and C++ exceptions; and what compilers leave behind that must not get in the way.

use std::fs;
use std::path::Path;

use crate::common::scratch;
use crate::dll::Dll;
use crate::support::{run, under_wine};

const EXECUTE: u32 = 0x2000_0000;
const WRITE: u32 = 0x8000_0000;

/// What MinGW's start code and C code need.
const C_LIBRARIES: [&str; 6] = ["-lmingw32", "-lgcc", "-lmoldname", "-lmingwex", "-lmsvcrt", "-lkernel32"];

const USER: &str = "extern int shared[4];\nint *const table[2] = {&shared[0], &shared[3]};\n\
    int total(void) { return *table[0] + *table[1] + shared[1]; }\n\
    static int order, *kept;\n#define ADD(when, number) \\\n\
    __attribute__((constructor when)) static void add##number(void) { order = 10 * order + number; }\n\
    ADD((200), 2)\nADD(, 3)\nADD((101), 1)\n\
    __attribute__((destructor)) static void end(void) { *kept = 7; }\n\
    __declspec(dllexport) int keep(int *place) { kept = place; return order; }\n";

const THREADS: &str = "__declspec(thread) int counter = 40;\n__declspec(thread) int zero;\nint total(void);\n\
    __declspec(dllexport) int sum(void) { zero += 2; return ++counter + zero; }\n\
    __declspec(dllexport) int data(void) { return total(); }\n";

const HOST: &str = "#include <windows.h>\n#include <stdio.h>\nstatic int (*sum)(void), (*data)(void);\n\
    static DWORD WINAPI run(void *unused) { sum(); return sum(); }\n\
    int main(int count, char **names) {\nHMODULE dll = LoadLibraryA(names[count - 1]);\n\
    if (!dll) return printf(\"error %lu\", GetLastError());\nsum = (void *)GetProcAddress(dll, \"sum\");\n\
    data = (void *)GetProcAddress(dll, \"data\");\nint one = sum(), two = sum();\nDWORD other;\n\
    int (*keep)(int *) = (void *)GetProcAddress(dll, \"keep\"), last = 0, order = keep(&last);\n\
    HANDLE thread = CreateThread(0, 0, run, 0, 0, 0);\nWaitForSingleObject(thread, INFINITE);\n\
    GetExitCodeThread(thread, &other);\nprintf(\"%d %d %lu %d %d\", one, two, other, sum(), data());\n\
    FreeLibrary(dll);\nprintf(\" %d %d\", order, last);\nreturn 0;\n}\n";

/// MinGW's start files `dllcrt2.o`, `crtbegin.o` and `crtend.o` as a compiler finds them, and options to search where they are.
fn start_files(folder: &Path, compiler: &str, package: &str) -> ([String; 3], [String; 2]) {
    let found = ["dllcrt2.o", "crtbegin.o", "crtend.o"]
        .map(|file| run(folder, compiler, package, &[&format!("-print-file-name={file}")]).trim().to_owned());
    let directory = |file: &str| format!("-L{}", Path::new(file).parent().unwrap().display());
    let search = [directory(&found[0]), directory(&found[1])];
    (found, search)
}

/// A DLL with variables of each thread's own, found through `_tls_index`, and with addresses of another DLL's data that
/// start code corrects.
fn threads_and_data(cpu: &str, emulation: &str, wine: &str, entry: &str) {
    let folder = &scratch(&format!("pe-runs-{cpu}"));
    let gcc = format!("{cpu}-w64-mingw32-gcc");
    let mingw = |arguments: &[&str]| run(folder, &gcc, "gcc-mingw-w64", arguments);
    let shared = "__declspec(dllexport) int shared[4] = {11, 22, 33, 44};";
    for (file, text) in [("shared.c", shared), ("user.c", USER), ("threads.c", THREADS), ("host.c", HOST)] {
        fs::write(folder.join(file), text).unwrap();
    }
    // Fields of 32 bits reach it there.
    let base = if cpu == "i686" { "-Wl,--image-base,0x20000000" } else { "-Wl,--image-base,0x190000000" };
    mingw(&["-shared", "-o", "shared.dll", "shared.c", "-Wl,--out-implib,libshared.dll.a", base]);
    mingw(&["-c", "-O1", "user.c"]);
    mingw(&["-o", "host.exe", "host.c"]);
    let target = format!("--target={cpu}-w64-windows-gnu");
    let native = ["-fms-extensions", "-fno-emulated-tls", "-O1", "-c", "threads.c"];
    run(folder, "clang-19", "clang-19", &[&[&*target][..], &native].concat());
    let ([start, begin, end], [crt, gcc_directory]) = start_files(folder, &gcc, "gcc-mingw-w64");
    let pkgld = env!("CARGO_BIN_EXE_pkgld");
    let options = ["-flavor", "gnu", "-m", emulation, "-shared", "-o", "user.dll", "-e", entry];
    let objects = [&*start, &begin, "user.o", "threads.o", "libshared.dll.a", &crt, &gcc_directory];
    run(folder, pkgld, "", &[&options[..], &objects, &C_LIBRARIES, &[&end]].concat());
    let said = under_wine(folder, wine, "host.exe", &["user.dll"]);
    assert_eq!(said, "43 46 46 49 77 123 7");
}

#[test]
#[ignore = "needs the packages clang-19, gcc-mingw-w64-x86-64 and wine64"]
fn threads_and_data_of_x86_64() {
    threads_and_data("x86_64", "i386pep", "wine", "DllMainCRTStartup");
}

#[test]
#[ignore = "needs the packages clang-19, gcc-mingw-w64-i686 and mmdebstrap"]
fn threads_and_data_of_i686() {
    threads_and_data("i686", "i386pe", "wine32", "_DllMainCRTStartup");
}

/// Two copies of a template's function, of which one is linked; it throws through another, which has something to destroy.
const THROWING: &str = "#include <stdexcept>\n#include <string>\nextern int destroyed;\n\
    struct Part { std::string name; Part(const char *name) : name(name) {} ~Part() { destroyed += name.size(); } };\n\
    template <class T> __attribute__((noinline)) T check(T value) {\n\
    if (value > 100) throw std::range_error(\"big \" + std::to_string(value));\nreturn value; }\n\
    template <class T> __attribute__((noinline)) T through(T value) { Part part(\"four\"); return check(value) + 1; }\n";

const CATCHING: &str = "int destroyed;\nint other(int);\nstatic std::string text = \"seven77\";\n\
    extern \"C\" __declspec(dllexport) int work(int value) {\n\
    try { return through(value); }\ncatch (const std::range_error &error) {\n\
    try { other(value); } catch (...) { destroyed *= 10; }\n\
    return std::string(error.what()).size() + 1000 * text.size(); } }\n\
    extern \"C\" __declspec(dllexport) int count() { return destroyed; }\n";

const CALLER: &str = "#include <windows.h>\n#include <stdio.h>\nint main(int count, char **names) {\n\
    HMODULE dll = LoadLibraryA(names[count - 1]);\nif (!dll) return printf(\"error %lu\", GetLastError());\n\
    int (*work)(int) = (void *)GetProcAddress(dll, \"work\"), (*counted)(void) = (void *)GetProcAddress(dll, \"count\");\n\
    int one = work(5), two = work(500);\nprintf(\"%d %d %d\", one, two, counted());\nreturn 0;\n}\n";

/// Exceptions are thrown and caught in a DLL that has all of the C++ library in it.
fn exceptions(cpu: &str, emulation: &str, wine: &str, entry: &str) {
    let folder = &scratch(&format!("pe-exceptions-{cpu}"));
    let package = format!("g++-mingw-w64-{}-win32", cpu.replace('_', "-"));
    let gxx = format!("{cpu}-w64-mingw32-g++");
    let other = format!("{THROWING}int other(int value) {{ return through(value); }}\n");
    for (file, text) in [("one.cc", &*format!("{THROWING}{CATCHING}")), ("two.cc", &other), ("caller.c", CALLER)] {
        fs::write(folder.join(file), text).unwrap();
    }
    run(folder, &gxx, &package, &["-c", "-O1", "one.cc", "two.cc"]);
    let gcc = format!("{cpu}-w64-mingw32-gcc");
    run(folder, &gcc, "gcc-mingw-w64", &["-o", "caller.exe", "caller.c"]);
    let ([start, begin, end], [crt, gcc_directory]) = start_files(folder, &gxx, &package);
    let objects = [&*start, &begin, "one.o", "two.o", &crt, &gcc_directory];
    let libraries = ["-Bstatic", "-lstdc++", "-lmingw32", "-lgcc_eh", "-lgcc", "-lmoldname", "-lmingwex", "-lmsvcrt"];
    let system = ["-ladvapi32", "-lshell32", "-luser32", "-lkernel32", "-lgcc_eh", "-lgcc", &end];
    let pkgld = env!("CARGO_BIN_EXE_pkgld");
    for more in ["--no-gc-sections", "--gc-sections"] {
        let options = ["-flavor", "gnu", "-m", emulation, "-shared", "-o", "thrower.dll", "-e", entry, more];
        run(folder, pkgld, "", &[&options[..], &objects, &libraries, &system].concat());
        let said = under_wine(folder, wine, "caller.exe", &["thrower.dll"]);
        assert_eq!(said, "6 7007 120", "{more}");
    }
}

#[test]
#[ignore = "needs the packages g++-mingw-w64-x86-64-win32 and wine64"]
fn exceptions_of_x86_64() {
    exceptions("x86_64", "i386pep", "wine", "DllMainCRTStartup");
}

#[test]
#[ignore = "needs the packages g++-mingw-w64-i686-win32 and mmdebstrap"]
fn exceptions_of_i686() {
    exceptions("i686", "i386pe", "wine32", "_DllMainCRTStartup@12");
}

/// A function of which two files have a copy, with the table of its `switch` in a section that knows of no copies.
const CHOOSING: &str = "int times(int);\ninline __attribute__((noinline)) int pick(int value) {\nswitch (value % 7) {\n\
    case 0: return times(1);\ncase 1: return times(22) + 1;\ncase 2: return times(3) * 2;\n\
    case 3: return times(4) - 1;\ncase 5: return times(5) ^ 7;\n}\nreturn -1;\n}\n\
    extern \"C\" __declspec(dllexport) int NAME ARGUMENTS { return pick(VALUE); }\n";

/// What GCC leaves behind by a copy that is not taken does no harm.
fn tables_of_copies(cpu: &str, emulation: &str, wine: &str) {
    let folder = &scratch(&format!("pe-tables-{cpu}"));
    let package = format!("g++-mingw-w64-{}-win32", cpu.replace('_', "-"));
    let gxx = format!("{cpu}-w64-mingw32-g++");
    let times = "int times(int value) { return value * 10; }\n";
    for (file, text) in [("choose.cc", CHOOSING), ("times.cc", times), ("caller.c", CALLER)] {
        fs::write(folder.join(file), text).unwrap();
    }
    let of = |name: &'static str, arguments: &'static str, value: &'static str| {
        let names = [("NAME", name), ("ARGUMENTS", arguments), ("VALUE", value)];
        let names = names.map(|(what, is)| format!("-D{what}={is}"));
        let object = format!("{name}.o");
        let compile = ["-c", "-O1", "choose.cc", "-o", &object];
        run(folder, &gxx, &package, &[&compile[..], &names.each_ref().map(|name| &**name)].concat());
    };
    of("work", "(int value)", "value");
    of("count", "()", "5");
    run(folder, &gxx, &package, &["-c", "-O1", "times.cc"]);
    run(folder, &format!("{cpu}-w64-mingw32-gcc"), "gcc-mingw-w64", &["-o", "caller.exe", "caller.c"]);
    let options = ["-flavor", "gnu", "-m", emulation, "-shared", "-o", "tables.dll", "work.o", "count.o", "times.o"];
    run(folder, env!("CARGO_BIN_EXE_pkgld"), "", &options);
    assert_eq!(under_wine(folder, wine, "caller.exe", &["tables.dll"]), "53 39 53");
}

#[test]
#[ignore = "needs the packages g++-mingw-w64-x86-64-win32 and wine64"]
fn tables_of_copies_of_x86_64() {
    tables_of_copies("x86_64", "i386pep", "wine");
}

#[test]
#[ignore = "needs the packages g++-mingw-w64-i686-win32 and mmdebstrap"]
fn tables_of_copies_of_i686() {
    tables_of_copies("i686", "i386pe", "wine32");
}

/// A function of `late.dll` that is called before the DLL is loaded, and another one.
const DELAYING: &str = "#include <windows.h>\nint twice(int), thrice(int);\n\
    __declspec(dllexport) int work(int value) { return (GetModuleHandleA(\"late.dll\") ? 0 : 1000) + twice(value); }\n\
    __declspec(dllexport) int count(void) { return thrice(5) + twice(1); }\n";

/// What `dlltool --output-delaylib` makes has the DLL loaded at the first call, by code which writes into its tables.
fn delayed_imports(cpu: &str, emulation: &str, wine: &str, entry: &str) {
    let folder = &scratch(&format!("pe-delayed-{cpu}"));
    let late = "__declspec(dllexport) int twice(int value) { return 2 * value; }\n\
        __declspec(dllexport) int thrice(int value) { return 3 * value; }\n";
    let definitions = "LIBRARY late.dll\nEXPORTS\nthrice\ntwice\n";
    let texts = [("late.c", late), ("delaying.c", DELAYING), ("caller.c", CALLER), ("late.def", definitions)];
    for (file, text) in texts {
        fs::write(folder.join(file), text).unwrap();
    }
    let gcc = format!("{cpu}-w64-mingw32-gcc");
    let mingw = |arguments: &[&str]| run(folder, &gcc, "gcc-mingw-w64", arguments);
    mingw(&["-shared", "-o", "late.dll", "late.c"]);
    mingw(&["-c", "-O1", "delaying.c"]);
    mingw(&["-o", "caller.exe", "caller.c"]);
    let tool = format!("{cpu}-w64-mingw32-dlltool");
    run(folder, &tool, "binutils-mingw-w64", &["-d", "late.def", "--output-delaylib", "liblate.a"]);
    let ([start, begin, end], [crt, gcc_directory]) = start_files(folder, &gcc, "gcc-mingw-w64");
    let objects = [&*start, &begin, "delaying.o", "liblate.a", &crt, &gcc_directory, "-ldelayimp"];
    let pkgld = env!("CARGO_BIN_EXE_pkgld");
    for more in ["--no-gc-sections", "--gc-sections"] {
        let options = ["-flavor", "gnu", "-m", emulation, "-shared", "-o", "delaying.dll", "-e", entry, more];
        run(folder, pkgld, "", &[&options[..], &objects, &C_LIBRARIES, &[&end]].concat());
        assert_eq!(under_wine(folder, wine, "caller.exe", &["delaying.dll"]), "1010 1000 17", "{more}");
        let dll = Dll::new(&fs::read(folder.join("delaying.dll")).unwrap());
        let both = EXECUTE | WRITE;
        assert!(dll.sections.iter().all(|section| section.characteristics & both != both), "{more}");
        assert!(dll.imports().values().all(|(name, _)| name != "late.dll"), "the loader is not asked for it");
    }
}

#[test]
#[ignore = "needs the packages gcc-mingw-w64-x86-64 and wine64"]
fn delayed_imports_of_x86_64() {
    delayed_imports("x86_64", "i386pep", "wine", "DllMainCRTStartup");
}

#[test]
#[ignore = "needs the packages gcc-mingw-w64-i686 and mmdebstrap"]
fn delayed_imports_of_i686() {
    delayed_imports("i686", "i386pe", "wine32", "_DllMainCRTStartup@12");
}
