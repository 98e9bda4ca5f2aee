# PkgLD: links Julia's package images with pkgld, within this process. SPDX-License-Identifier: MIT
#
# For Julia 1.9 to 1.14; needs nothing but this file and libpkgld. To have this session's precompilation use pkgld:
#
#     include("PkgLD.jl")
#     PkgLD.install!()
#
# and PkgLD.uninstall!() to go back. README.md beside this file says where libpkgld is looked for, and what else there is.
module PkgLD

const Libdl = Base.Libc.Libdl

## The library ##

# PKGLD_ABI_VERSION of the header that this file was written to.
const ABI_VERSION = 1

# The functions of the library that this file calls: functions are added without a new version.
const FUNCTIONS = (
    :pkgld_abi_version, :pkgld_errors_count, :pkgld_errors_free, :pkgld_errors_problem, :pkgld_errors_text, :pkgld_image_free,
    :pkgld_image_size, :pkgld_image_warning, :pkgld_image_warning_count, :pkgld_image_write_file_start,
    :pkgld_image_write_memory_start, :pkgld_job_finish, :pkgld_link_add_blob, :pkgld_link_add_bytes, :pkgld_link_add_library,
    :pkgld_link_add_search_path, :pkgld_link_free, :pkgld_link_new, :pkgld_link_run_start, :pkgld_link_set,
    :pkgld_link_set_name, :pkgld_output_exit, :pkgld_output_free, :pkgld_output_image, :pkgld_output_stderr,
    :pkgld_output_stdout, :pkgld_run_start, :pkgld_version,
)

const LOCK = ReentrantLock()

# Null until the library is needed; what is precompiled has null, too.
const LIBRARY = Ref{Ptr{Cvoid}}(C_NULL)

# The places for the library, in order.
function candidates()
    path = get(ENV, "PKGLD_LIBRARY", "")
    isempty(path) || return [path]
    name = Sys.iswindows() ? "pkgld.dll" : string("libpkgld.", Libdl.dlext)
    # PREFIX/share/pkgld is where capi/install puts this file.
    installed = joinpath(@__DIR__, "..", "..", Sys.iswindows() ? "bin" : "lib", name)
    return [joinpath(@__DIR__, name), installed, joinpath(@__DIR__, "..", "target", "release", name), name]
end

"""
    PkgLD.library() -> Ptr{Cvoid}

The handle of libpkgld, for `Libdl`; loads the library if that has not happened. It is `ENV["PKGLD_LIBRARY"]`, if that is set,
or the first that can be used: beside this file, in `lib` (on Windows `bin`) of the installation that this file belongs to,
in `target/release` of the sources that it belongs to, or where the system looks for libraries.
"""
function library()
    lock(LOCK) do
        LIBRARY[] == C_NULL || return LIBRARY[]
        tried = String[]
        for path in candidates()
            if !isfile(path) && path != basename(path)
                push!(tried, "$path: no such file")
                continue
            end
            handle = try
                Libdl.dlopen(path)
            catch failure
                push!(tried, sprint(showerror, failure))
                continue
            end
            problem = unusable(handle)
            if problem !== nothing
                push!(tried, "$(Libdl.dlpath(handle)): $problem")
                # While it is loaded, systems take it for any other that is asked for by its plain name.
                Libdl.dlclose(handle)
                continue
            end
            atexit(finish_all)
            return LIBRARY[] = handle
        end
        error("no libpkgld can be used; set the environment variable PKGLD_LIBRARY to its path. Tried:\n", join(tried, '\n'))
    end
end

# Why this file cannot use a library, or nothing.
function unusable(handle)
    has(name) = Libdl.dlsym(handle, name; throw_error = false) !== nothing
    has(:pkgld_abi_version) || return "it has no pkgld_abi_version, and is no libpkgld"
    version = ccall(Libdl.dlsym(handle, :pkgld_abi_version), UInt32, ())
    version == ABI_VERSION || return "it has version $version of its interface, PkgLD.jl is for $ABI_VERSION"
    absent = filter(!has, collect(FUNCTIONS))
    isempty(absent) || return "it is older than PkgLD.jl: it has no $(join(absent, ", "))"
    return nothing
end

# Takes no lock once the library is loaded: nobody can be interrupted while waiting for it.
function symbol(name::Symbol)
    handle = LIBRARY[]
    return Libdl.dlsym(handle == C_NULL ? library() : handle, name)::Ptr{Cvoid}
end

"""
    PkgLD.version() -> VersionNumber

The version of the library that is loaded.
"""
version() = VersionNumber(unsafe_string(ccall(symbol(:pkgld_version), Ptr{UInt8}, ())))

## Problems ##

# pkgld_text_t
struct TextView
    data::Ptr{UInt8}
    size::Csize_t
end

Base.String(text::TextView) = text.data == C_NULL ? "" : unsafe_string(text.data, text.size)

# pkgld_problem_t
struct ProblemView
    status::Int32
    has_offset::Bool
    offset::UInt64
    message::TextView
    file::TextView
    section::TextView
    symbol::TextView
    covered_by::TextView
    source::TextView
end

ProblemView() = ProblemView(0, false, 0, ntuple(_ -> TextView(C_NULL, 0), 6)...)

"""
One problem of a link. `status` is a number of `pkgld_status`; what is not known is `""` or `nothing`.
"""
struct Problem
    status::Int
    message::String
    file::String
    section::String
    offset::Union{Nothing,UInt64}
    symbol::String
    covered_by::String
    source::String
end

function Problem(view::ProblemView)
    offset = view.has_offset ? view.offset : nothing
    text = String
    return Problem(view.status, text(view.message), text(view.file), text(view.section), offset, text(view.symbol),
        text(view.covered_by), text(view.source))
end

"""
Why there is no image. `problems` is empty where only `message` is known, of which `showerror` shows all.
"""
struct LinkError <: Exception
    message::String
    problems::Vector{Problem}
end

Base.showerror(io::IO, failure::LinkError) = print(io, failure.message)

# Calls a function of the library, which has a place for errors and returns a status; throws what is there.
function checked(call)
    errors = Ref{Ptr{Cvoid}}(C_NULL)
    call(errors) == 0 && return nothing
    try
        count = ccall(symbol(:pkgld_errors_count), Csize_t, (Ptr{Cvoid},), errors[])
        problems = map(0:Int(count)-1) do number
            view = Ref(ProblemView())
            ccall(symbol(:pkgld_errors_problem), Int32, (Ptr{Cvoid}, Csize_t, Ptr{ProblemView}), errors[], number, view)
            Problem(view[])
        end
        message = String(ccall(symbol(:pkgld_errors_text), TextView, (Ptr{Cvoid},), errors[]))
        throw(LinkError("pkgld: " * message, problems))
    finally
        ccall(symbol(:pkgld_errors_free), Int32, (Ptr{Ptr{Cvoid}},), errors)
    end
end

## Waiting ##

# What a job has made: handles, or null.
struct Made
    image::Ptr{Cvoid}
    output::Ptr{Cvoid}
    crc32c::UInt32
end

function finish(job::Ref{Ptr{Cvoid}})
    image, output, crc32c = Ref{Ptr{Cvoid}}(C_NULL), Ref{Ptr{Cvoid}}(C_NULL), Ref{UInt32}(0)
    checked() do errors
        ccall(symbol(:pkgld_job_finish), Int32,
            (Ptr{Ptr{Cvoid}}, Ptr{Ptr{Cvoid}}, Ptr{Ptr{Cvoid}}, Ptr{UInt32}, Ptr{Ptr{Cvoid}}),
            job, image, output, crc32c, errors)
    end
    return Made(image[], output[], crc32c[])
end

# The jobs that have not been finished, for the end of the process.
const RUNNING = Set{Base.RefValue{Ptr{Cvoid}}}()
const RUNNING_LOCK = Base.Threads.SpinLock()

# Waits for a job, if there is one still, and frees what it has made.
function discard(job)
    job[] == C_NULL && return nothing
    ccall(symbol(:pkgld_job_finish), Int32,
        (Ptr{Ptr{Cvoid}}, Ptr{Ptr{Cvoid}}, Ptr{Ptr{Cvoid}}, Ptr{UInt32}, Ptr{Ptr{Cvoid}}),
        job, C_NULL, C_NULL, C_NULL, C_NULL)
    return nothing
end

# When the process ends, Julia frees what jobs use, the handles of its event loop too, and their threads go on until it has ended.
function finish_all()
    jobs = lock(() -> collect(RUNNING), RUNNING_LOCK)
    foreach(discard, jobs)
end

# Waits for a job as a task waits for a process: other tasks run meanwhile, on this thread too, and the garbage collector need
# not wait. The job has a thread of the library's, which tells Julia's event loop of its end. `@threadcall` would not do: since
# Julia 1.9 its threads are Julia's own while they work, and the collector waits for them; nor would a call that the collector
# does not wait for, `gc_safe = true` of Julia 1.12, which holds up the tasks of its thread.
function await(start)
    condition = Base.AsyncCondition()
    job = Ref{Ptr{Cvoid}}(C_NULL)
    lock(() -> push!(RUNNING, job), RUNNING_LOCK)
    try
        checked(errors -> start(cglobal(:uv_async_send), condition, job, errors))
        wait(condition)
        return finish(job)
    finally
        # If it was interrupted, wherever that was, what the job uses has to stay until it is done.
        discard(job)
        lock(() -> delete!(RUNNING, job), RUNNING_LOCK)
        close(condition)
    end
end

## The program ##

"""
    PkgLD.run(arguments) -> (; exit, stdout, stderr, size, crc32c)

Runs the program pkgld in this process: `arguments` begin with its name, as in `["pkgld", "--help"]`. `size`, in bytes, and
`crc32c` are those of the image that it has written, or `nothing`.
"""
function run(arguments::AbstractVector{<:AbstractString})
    strings = String[String(argument) for argument in arguments]
    for argument in strings
        '\0' in argument && throw(ArgumentError("an argument has a NUL character: $(repr(argument))"))
    end
    # The arguments are copied before the job begins.
    made = GC.@preserve strings begin
        pointers = Ptr{UInt8}[pointer(argument) for argument in strings]
        await() do notify, context, job, errors
            ccall(symbol(:pkgld_run_start), Int32,
                (Ptr{Ptr{UInt8}}, Csize_t, Ptr{Cvoid}, Ptr{Cvoid}, Ptr{Ptr{Cvoid}}, Ptr{Ptr{Cvoid}}),
                pointers, length(pointers), notify, context, job, errors)
        end
    end
    output = Ref(made.output)
    try
        exit = Int(ccall(symbol(:pkgld_output_exit), Int32, (Ptr{Cvoid},), output[]))
        out = String(ccall(symbol(:pkgld_output_stdout), TextView, (Ptr{Cvoid},), output[]))
        err = String(ccall(symbol(:pkgld_output_stderr), TextView, (Ptr{Cvoid},), output[]))
        size, crc32c = Ref{UInt64}(0), Ref{UInt32}(0)
        written = ccall(symbol(:pkgld_output_image), Bool, (Ptr{Cvoid}, Ptr{UInt64}, Ptr{UInt32}), output[], size, crc32c)
        return (exit = exit, stdout = out, stderr = err,
            size = written ? Int64(size[]) : nothing, crc32c = written ? crc32c[] : nothing)
    finally
        ccall(symbol(:pkgld_output_free), Int32, (Ptr{Ptr{Cvoid}},), output)
    end
end

## Package images ##

# The arguments with which this Julia would start lld: it is asked for them, since they differ between its versions.
function arguments_for(archive, out)
    if !isdefined(Base, :Linking) || !isdefined(Base.Linking, :link_image_cmd)
        error("Julia $VERSION has no Base.Linking.link_image_cmd: pkgld is for the package images of Julia 1.9 to 1.14")
    end
    arguments = copy(Base.Linking.link_image_cmd(archive, out).exec)
    # Until 1.13 Julia looks at the variable when it starts, and not again.
    verbose = lowercase(get(ENV, "JULIA_VERBOSE_LINKING", "")) in ("t", "true", "y", "yes", "1")
    if verbose && !("--verbose" in arguments)
        push!(arguments, "--verbose")
    end
    return arguments
end

"""
    PkgLD.link_image(archive, out; stderr = Base.stderr, stdout = Base.stdout) -> (; size, crc32c)

Links the object archive of a package image, as `julia --output-o` writes it, into the shared library `out`, with the arguments
that this Julia would give to lld. `out` appears complete or not at all. Returns its size in bytes and its CRC-32C.

Warnings, and what `JULIA_VERBOSE_LINKING=true` asks for, go to `stderr`.
"""
function link_image(archive, out; stderr::IO = Base.stderr, stdout::IO = Base.stdout)
    answer = run(arguments_for(archive, out))
    answer.exit == 0 || throw(LinkError(String(chomp(answer.stderr)), Problem[]))
    isempty(answer.stdout) || print(stdout, answer.stdout)
    isempty(answer.stderr) || print(stderr, answer.stderr)
    return (size = answer.size, crc32c = answer.crc32c)
end

# Stands for Base.Linking.link_image. Who precompiles takes an ErrorException for the failure of one package, and goes on.
function replacement(archive, out, stderr::IO, stdout::IO)
    try
        link_image(archive, out; stderr, stdout)
    catch failure
        failure isa LinkError || rethrow()
        error(sprint(showerror, failure))
    end
    return nothing
end

# The method of Base.Linking.link_image that is ours, while there is one.
const METHOD = Ref{Union{Nothing,Method}}(nothing)

"""
    PkgLD.install!() -> Bool

Has this Julia session link package images with pkgld, by a method of `Base.Linking.link_image` that comes before Julia's own.
That one stays, and is there again after [`PkgLD.uninstall!`](@ref). As with any method, code sees it that is called from the
top level afterwards; not the rest of a function that calls `install!`.

Julia links package images in the process that precompiles, not in the workers that compile for it, so one call serves all of
them. Processes of `Distributed` that precompile for themselves want a call each. In a process that is itself writing an image,
methods cannot be added: there `install!` does nothing and returns `false`.
"""
function install!()
    ccall(:jl_generating_output, Cint, ()) == 0 || return false
    known = isdefined(Base, :Linking) && isdefined(Base.Linking, :link_image) &&
            hasmethod(Base.Linking.link_image, Tuple{String,String,IO,IO})
    known || error("Julia $VERSION has no Base.Linking.link_image(archive, out, stderr, stdout): pkgld is for the package images of Julia 1.9 to 1.14")
    library()
    lock(LOCK) do
        METHOD[] === nothing || return
        @eval function Base.Linking.link_image(archive::Union{AbstractString,AbstractVector{<:AbstractString}},
                                               out::AbstractString, stderr::IO, stdout::IO)
            $replacement(archive, out, stderr, stdout)
        end
        METHOD[] = Base.invokelatest(which, Base.Linking.link_image, Tuple{String,String,IO,IO})
        show_to_loader()
    end
    return true
end

# Julia runs its package loader, which precompiles for `using`, in the world of the session's start, so that packages cannot
# change it: it would never see a method that is added or deleted later. It is to see this one.
function show_to_loader()
    isdefined(Base, :_require_world_age) || return
    Base._require_world_age[] = Base.get_world_counter()
    return
end

"""
    PkgLD.uninstall!() -> Bool

Has this Julia session link package images with lld again; `false` if that is what it did.
"""
function uninstall!()
    lock(LOCK) do
        METHOD[] === nothing && return false
        Base.delete_method(METHOD[])
        METHOD[] = nothing
        show_to_loader()
        return true
    end
end

## Objects in memory ##

# PKGLD_TARGET_...
const TARGETS = (
    of_inputs = 0, linux_x86_64 = 1, linux_x86 = 2, linux_aarch64 = 3, linux_arm = 4, linux_riscv64 = 5, linux_ppc64 = 6,
    freebsd_x86_64 = 7, freebsd_aarch64 = 8, macos_aarch64 = 9, macos_x86_64 = 10, windows_x86_64 = 11, windows_x86 = 12,
    windows_aarch64 = 13,
)

# PKGLD_OPTION_...
const OPTIONS = (
    threads = 1, undefined = 2, strip = 3, allow_multiple_definition = 4, gc_sections = 5, read_inputs = 6, build_id = 7,
    output_size_limit = 8, macos_version = 9, auto_import = 10, symbol_limit = 11, section_limit = 12,
    decompressed_size_limit = 13, lookup_limit = 14,
)

const WHOLE_ARCHIVE = 1
const READ_ONLY = 4

"""
    PkgLD.host() -> Symbol

The target that this Julia runs on, such as `:linux_x86_64`; `:of_inputs` if pkgld knows of none.
"""
function host()
    system = Sys.islinux() ? "linux" : Sys.isfreebsd() ? "freebsd" : Sys.isapple() ? "macos" : Sys.iswindows() ? "windows" : ""
    arch = Sys.ARCH === :i686 ? "x86" : Sys.ARCH === :armv7l ? "arm" : Sys.ARCH === :powerpc64le ? "ppc64" : String(Sys.ARCH)
    target = Symbol(system, "_", arch)
    return haskey(TARGETS, target) ? target : :of_inputs
end

"""
    PkgLD.Blob(name, data; align = 64, size_symbol = nothing, read_only = false)

Bytes that become data of the image under an exported name, such as `jl_system_image_data`, aligned to a power of two; and, on
request, a constant with another name that has their number. They are not copied on the way into the image.
"""
struct Blob
    name::String
    data::Any
    align::UInt64
    size_symbol::String
    read_only::Bool
end

function Blob(name, data; align::Integer = 64, size_symbol = nothing, read_only::Bool = false)
    return Blob(String(name), data, align, String(something(size_symbol, "")), read_only)
end

# Bytes that are one after the other in memory, and who keeps them there. What only might be is copied.
in_memory(data::AbstractVector{UInt8}) = Vector{UInt8}(data)
in_memory(data::Vector{UInt8}) = data
in_memory(data::Base.CodeUnits{UInt8,<:Union{String,SubString{String}}}) = data
if isdefined(Base, :Memory)
    in_memory(data::Base.Memory{UInt8}) = data
end
in_memory(data::Union{String,SubString{String}}) = in_memory(codeunits(data))

function julia_libraries()
    debug = ccall(:jl_is_debugbuild, Cint, ()) == 1
    return debug ? ["julia-debug", "julia-internal-debug"] : ["julia", "julia-internal"]
end

function julia_directories()
    own, common = abspath(Sys.BINDIR, Base.PRIVATE_LIBDIR), abspath(Sys.BINDIR, Base.LIBDIR)
    return unique(Sys.iswindows() ? [own, Sys.BINDIR, common] : [own, common])
end

"""
    PkgLD.link_objects(objects; blobs = [], out = nothing, name = nothing, target = PkgLD.host(), libraries, search_paths,
                       options = []) -> (; image, size, crc32c, warnings)

Links `objects`, pairs of a name and bytes (objects, archives, of which every member is linked, or shared libraries), and
[`PkgLD.Blob`](@ref)s into a shared library: the file `out`, which appears complete or not at all, or the vector `image`.

`libraries` are searched for in `search_paths`; by default Julia's own. `name` is the one by which loaders know the image.
`target` is a key of `PkgLD.TARGETS`. `options` are pairs of a key of `PkgLD.OPTIONS` and a number, as `pkgld.h` describes them:
`:threads => 1`, `:undefined => 2`.

The bytes must not be changed or resized before the function returns.
"""
function link_objects(objects; blobs = (), out = nothing, name = nothing, target::Symbol = host(),
                      libraries = julia_libraries(), search_paths = julia_directories(), options = ())
    haskey(TARGETS, target) || throw(ArgumentError("unknown target $(repr(target)), there are: $(join(keys(TARGETS), ", "))"))
    link = Ref{Ptr{Cvoid}}(C_NULL)
    image = Ref{Ptr{Cvoid}}(C_NULL)
    # What the link borrows.
    kept = Any[]
    answer = GC.@preserve kept begin
        try
            checked() do errors
                ccall(symbol(:pkgld_link_new), Int32, (UInt32, Ptr{Ptr{Cvoid}}, Ptr{Ptr{Cvoid}}), TARGETS[target], link, errors)
            end
            for (label, data) in objects
                push!(kept, in_memory(data))
                add_bytes(link[], String(label), last(kept))
            end
            for blob in blobs
                push!(kept, in_memory(blob.data))
                add_blob(link[], blob, last(kept))
            end
            for path in search_paths
                add_search_path(link[], String(path))
            end
            for library in libraries
                add_library(link[], String(library))
            end
            name === nothing || set_name(link[], String(name))
            for (option, value) in options
                set_option(link[], option, value)
            end
            image[] = run_link(link[]).image
            written(image[], out)
        finally
            ccall(symbol(:pkgld_image_free), Int32, (Ptr{Ptr{Cvoid}},), image)
            ccall(symbol(:pkgld_link_free), Int32, (Ptr{Ptr{Cvoid}},), link)
        end
    end
    return answer
end

function add_bytes(link, name::String, data)
    checked() do errors
        ccall(symbol(:pkgld_link_add_bytes), Int32,
            (Ptr{Cvoid}, Ptr{UInt8}, Csize_t, Ptr{UInt8}, Csize_t, UInt32, Ptr{Ptr{Cvoid}}),
            link, name, sizeof(name), data, length(data), WHOLE_ARCHIVE, errors)
    end
end

function add_blob(link, blob::Blob, data)
    name, size_symbol = blob.name, blob.size_symbol
    checked() do errors
        ccall(symbol(:pkgld_link_add_blob), Int32,
            (Ptr{Cvoid}, Ptr{UInt8}, Csize_t, Ptr{UInt8}, Csize_t, UInt64, Ptr{UInt8}, Csize_t, UInt32, Ptr{Ptr{Cvoid}}),
            link, name, sizeof(name), data, length(data), blob.align, size_symbol, sizeof(size_symbol),
            blob.read_only ? READ_ONLY : 0, errors)
    end
end

function add_search_path(link, path::String)
    checked() do errors
        ccall(symbol(:pkgld_link_add_search_path), Int32, (Ptr{Cvoid}, Ptr{UInt8}, Csize_t, Ptr{Ptr{Cvoid}}),
            link, path, sizeof(path), errors)
    end
end

function add_library(link, library::String)
    checked() do errors
        ccall(symbol(:pkgld_link_add_library), Int32, (Ptr{Cvoid}, Ptr{UInt8}, Csize_t, UInt32, Ptr{Ptr{Cvoid}}),
            link, library, sizeof(library), 0, errors)
    end
end

function set_name(link, name::String)
    checked() do errors
        ccall(symbol(:pkgld_link_set_name), Int32, (Ptr{Cvoid}, Ptr{UInt8}, Csize_t, Ptr{Ptr{Cvoid}}),
            link, name, sizeof(name), errors)
    end
end

function set_option(link, option::Symbol, value::Integer)
    haskey(OPTIONS, option) || throw(ArgumentError("unknown option $(repr(option)), there are: $(join(keys(OPTIONS), ", "))"))
    checked() do errors
        ccall(symbol(:pkgld_link_set), Int32, (Ptr{Cvoid}, UInt32, UInt64, Ptr{Ptr{Cvoid}}),
            link, OPTIONS[option], value, errors)
    end
end

function run_link(link)
    await() do notify, context, job, errors
        ccall(symbol(:pkgld_link_run_start), Int32,
            (Ptr{Cvoid}, Ptr{Cvoid}, Ptr{Cvoid}, Ptr{Ptr{Cvoid}}, Ptr{Ptr{Cvoid}}),
            link, notify, context, job, errors)
    end
end

# Has an image written to a file or a vector.
function written(image, out)
    size = Int64(ccall(symbol(:pkgld_image_size), UInt64, (Ptr{Cvoid},), image))
    count = Int(ccall(symbol(:pkgld_image_warning_count), Csize_t, (Ptr{Cvoid},), image))
    warnings = [String(ccall(symbol(:pkgld_image_warning), TextView, (Ptr{Cvoid}, Csize_t), image, number)) for number in 0:count-1]
    if out === nothing
        memory = Vector{UInt8}(undef, Int(size))
        made = GC.@preserve memory begin
            await() do notify, context, job, errors
                ccall(symbol(:pkgld_image_write_memory_start), Int32,
                    (Ptr{Cvoid}, Ptr{UInt8}, Csize_t, Ptr{Cvoid}, Ptr{Cvoid}, Ptr{Ptr{Cvoid}}, Ptr{Ptr{Cvoid}}),
                    image, memory, length(memory), notify, context, job, errors)
            end
        end
        return (image = memory, size = size, crc32c = made.crc32c, warnings = warnings)
    end
    path = String(out)
    made = await() do notify, context, job, errors
        ccall(symbol(:pkgld_image_write_file_start), Int32,
            (Ptr{Cvoid}, Ptr{UInt8}, Csize_t, Ptr{Cvoid}, Ptr{Cvoid}, Ptr{Ptr{Cvoid}}, Ptr{Ptr{Cvoid}}),
            image, path, sizeof(path), notify, context, job, errors)
    end
    return (image = nothing, size = size, crc32c = made.crc32c, warnings = warnings)
end

end
