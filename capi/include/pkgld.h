// pkgld: links Julia package images within the caller's process. SPDX-License-Identifier: MIT
//
// A function that can fail returns a status: PKGLD_STATUS_OK, or the kind of the first problem. All
// problems stand in a handle that is put into *errors, unless errors is NULL; it is to be freed by the
// caller, and *errors is NULL after success. A defect of the library is a status too: no function
// unwinds into its caller.
//
// Different handles may be used by several threads at once. What one handle allows is said at its type.
//
// Handles are freed by their ..._free (a job by pkgld_job_finish), which takes the pointer's address and leaves NULL there. A NULL
// handle, or a handle of another kind, is PKGLD_STATUS_ARGUMENT. Strings and bytes are a pointer and a
// length; NULL is allowed where the length is 0. Strings that come back have a NUL byte after their last.
//
// Made by cbindgen from the Rust sources: not to be edited.

#ifndef PKGLD_H
#define PKGLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The version of this interface: it changes when programs compiled for another one would not work.
#define PKGLD_ABI_VERSION 1

// What the image is for is told by the first object.
#define PKGLD_TARGET_OF_INPUTS 0

// 64-bit x86 Linux.
#define PKGLD_TARGET_LINUX_X86_64 1

// 32-bit x86 Linux.
#define PKGLD_TARGET_LINUX_X86 2

// 64-bit Arm Linux.
#define PKGLD_TARGET_LINUX_AARCH64 3

// 32-bit Arm Linux.
#define PKGLD_TARGET_LINUX_ARM 4

// 64-bit RISC-V Linux.
#define PKGLD_TARGET_LINUX_RISCV64 5

// 64-bit little-endian POWER Linux.
#define PKGLD_TARGET_LINUX_PPC64 6

// 64-bit x86 FreeBSD.
#define PKGLD_TARGET_FREEBSD_X86_64 7

// 64-bit Arm FreeBSD.
#define PKGLD_TARGET_FREEBSD_AARCH64 8

// 64-bit Arm macOS.
#define PKGLD_TARGET_MACOS_AARCH64 9

// 64-bit x86 macOS.
#define PKGLD_TARGET_MACOS_X86_64 10

// 64-bit x86 Windows.
#define PKGLD_TARGET_WINDOWS_X86_64 11

// 32-bit x86 Windows.
#define PKGLD_TARGET_WINDOWS_X86 12

// 64-bit Arm Windows.
#define PKGLD_TARGET_WINDOWS_AARCH64 13

// Flag of an input: link every member, if it is an archive.
#define PKGLD_WHOLE_ARCHIVE 1

// Flag of an input: ask the loader for a shared library only if it defines something that is referenced.
#define PKGLD_AS_NEEDED 2

// Flag of a blob: nobody writes to the data.
#define PKGLD_READ_ONLY 4

// The most threads: small links use one. 0, as at first, for the number of processors that the process may use.
#define PKGLD_OPTION_THREADS 1

// Symbols that nothing defines: 0, as at first, leaves them to the loader, 1 also warns, 2 fails.
#define PKGLD_OPTION_UNDEFINED 2

// What to leave out: 0, as at first, nothing, 1 debug sections, 2 the symbol table too.
#define PKGLD_OPTION_STRIP 3

// 1, as at first for the Windows targets, lets the first of several definitions win, with a warning on Windows and macOS.
#define PKGLD_OPTION_ALLOW_MULTIPLE_DEFINITION 4

// 1 leaves out sections that nothing reachable refers to.
#define PKGLD_OPTION_GC_SECTIONS 5

// 1 reads inputs into memory instead of mapping them, so that who changes a file meanwhile cannot disturb the link.
#define PKGLD_OPTION_READ_INPUTS 6

// Bytes of an identity made of the contents in an ELF image: 0, as at first, none, 8, 16 or 20.
#define PKGLD_OPTION_BUILD_ID 7

// The largest image, in bytes of file and of address space each.
#define PKGLD_OPTION_OUTPUT_SIZE_LIMIT 8

// The oldest macOS that the image is for, as 16, 8 and 8 bits; it is also named as the SDK's. 0, as at first: what the objects
// say.
#define PKGLD_OPTION_MACOS_VERSION 9

// 0, as at first for the Windows targets, has code refer to a DLL's data only through its imports; 1 also automatically, and as
// if the data were the image's own, which MinGW's start code corrects.
#define PKGLD_OPTION_AUTO_IMPORT 10

// The largest number of symbols in all inputs together.
#define PKGLD_OPTION_SYMBOL_LIMIT 11

// The largest number of sections in all inputs together.
#define PKGLD_OPTION_SECTION_LIMIT 12

// The largest size of what compressed input sections hold, all together, in bytes.
#define PKGLD_OPTION_DECOMPRESSED_SIZE_LIMIT 13

// The largest number of times that a name is looked up in an archive or a library, all together.
#define PKGLD_OPTION_LOOKUP_LIMIT 14

// What a function says: 0, or the kind of the first problem.
enum pkgld_status
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // It is done.
  PKGLD_STATUS_OK = 0,
  // A file could not be opened, read or mapped.
  PKGLD_STATUS_READ = 1,
  // The output could not be created or written.
  PKGLD_STATUS_WRITE = 2,
  // The bytes of an input contradict its format.
  PKGLD_STATUS_MALFORMED = 3,
  // An input asks for something that this linker does not do.
  PKGLD_STATUS_UNSUPPORTED = 4,
  // Two inputs cannot stand in one image.
  PKGLD_STATUS_INCOMPATIBLE = 5,
  // A library is in none of the directories searched.
  PKGLD_STATUS_LIBRARY_NOT_FOUND = 6,
  // A symbol is referenced and nothing defines it.
  PKGLD_STATUS_UNDEFINED = 7,
  // A symbol is defined twice.
  PKGLD_STATUS_DUPLICATE = 8,
  // A relocated value does not fit in its field.
  PKGLD_STATUS_OVERFLOW = 9,
  // A relocation that the image or the target does not allow.
  PKGLD_STATUS_RELOCATION = 10,
  // A bound is exceeded.
  PKGLD_STATUS_LIMIT = 11,
  // The options contradict each other or the inputs.
  PKGLD_STATUS_OPTIONS = 12,
  // There is nothing to link.
  PKGLD_STATUS_NO_INPUT = 13,
  // An argument of the function is wrong.
  PKGLD_STATUS_ARGUMENT = 14,
  // The caller's buffer is too small; nothing has been written to it.
  PKGLD_STATUS_BUFFER_TOO_SMALL = 15,
  // A defect of the library.
  PKGLD_STATUS_INTERNAL = 16,
  // A problem that has no number yet.
  PKGLD_STATUS_OTHER = 17,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum pkgld_status pkgld_status;
#else
typedef int32_t pkgld_status;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// Bytes that belong to the library.
typedef struct pkgld_buffer_t pkgld_buffer_t;

// Why a function failed: one problem or more.
typedef struct pkgld_errors_t pkgld_errors_t;

// A linked image. Its bytes are made whenever they are asked for. Many threads may use it at a time.
typedef struct pkgld_image_t pkgld_image_t;

// Work that a thread of the library does. To be used by one thread at a time.
typedef struct pkgld_job_t pkgld_job_t;

// Inputs and options, to be linked. To be used by one thread at a time.
typedef struct pkgld_link_t pkgld_link_t;

// What a run of the program has said. Many threads may use it at a time.
typedef struct pkgld_output_t pkgld_output_t;

// A string that belongs to the handle it was asked of, and ends with it. A NUL byte follows its last.
typedef struct pkgld_text_t {
  // The first byte, of UTF-8; never null after success.
  const char *data;
  // The number of bytes, without the NUL byte.
  size_t size;
} pkgld_text_t;

// One problem. What is not known is empty.
typedef struct pkgld_problem_t {
  // What kind it is.
  pkgld_status status;
  // Whether `section` and `offset` are known.
  bool has_offset;
  // The offset in the section, in bytes.
  uint64_t offset;
  // All of it, for people; several lines perhaps.
  struct pkgld_text_t message;
  // The input, as `path` or `path(member)`; of problems with an output the output.
  struct pkgld_text_t file;
  // The section of the input.
  struct pkgld_text_t section;
  // The symbol.
  struct pkgld_text_t symbol;
  // The function or object that covers the offset.
  struct pkgld_text_t function;
  // The source position, as `file:line`.
  struct pkgld_text_t source;
} pkgld_problem_t;

// A function that is told that a job is done, on the job's thread, once and when the job's handle is in its place; what it
// returns means nothing. It must not wait for the job.
typedef int32_t (*pkgld_notify_t)(void *context);

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// The version of the interface that the library has, to be compared with `PKGLD_ABI_VERSION`.
uint32_t pkgld_abi_version(void);

// The library's version, as `major.minor.patch` with a NUL byte at the end; never to be freed.
const char *pkgld_version(void);

// The number of problems; 0 if `errors` is null or no such handle.
//
// The caller keeps to this:
// `errors` is null, or a handle that has not been freed.
size_t pkgld_errors_count(const struct pkgld_errors_t *errors);

// All problems as text, one or more lines each. It belongs to `errors`; empty with a null pointer if that is no such handle.
//
// The caller keeps to this:
// `errors` is null, or a handle that has not been freed.
struct pkgld_text_t pkgld_errors_text(const struct pkgld_errors_t *errors);

// Puts the problem with this number, from 0, into `problem`. Its strings belong to `errors`.
//
// The caller keeps to this:
// `errors` is null, or a handle that has not been freed; `problem` is null or can be written.
pkgld_status pkgld_errors_problem(const struct pkgld_errors_t *errors,
                                  size_t number,
                                  struct pkgld_problem_t *problem);

// Frees errors, and sets the pointer to null. Null, and a pointer to null, are allowed.
//
// The caller keeps to this:
// `errors` is null, or points to null or a handle that is not used any more.
pkgld_status pkgld_errors_free(struct pkgld_errors_t **errors);

// The image's size in bytes; 0 if `image` is null or no such handle.
//
// The caller keeps to this:
// `image` is null, or a handle that has not been freed.
uint64_t pkgld_image_size(const struct pkgld_image_t *image);

// The number of warnings; 0 if `image` is null or no such handle.
//
// The caller keeps to this:
// `image` is null, or a handle that has not been freed.
size_t pkgld_image_warning_count(const struct pkgld_image_t *image);

// The warning with this number, from 0. It belongs to `image`; empty with a null pointer if there is none.
//
// The caller keeps to this:
// `image` is null, or a handle that has not been freed.
struct pkgld_text_t pkgld_image_warning(const struct pkgld_image_t *image,
                                        size_t number);

// Writes the image to a file, which appears under its name complete or not at all, and puts its CRC-32C (Castagnoli) into
// `crc32c`, unless that is null.
//
// The caller keeps to this:
// `image` is null, or a handle that has not been freed; `path` has `path_size` bytes; `crc32c` and `errors` are null or can be
// written.
pkgld_status pkgld_image_write_file(const struct pkgld_image_t *image,
                                    const char *path,
                                    size_t path_size,
                                    uint32_t *crc32c,
                                    struct pkgld_errors_t **errors);

// Has a thread do what `pkgld_image_write_file` does: returns at once, with a job for `pkgld_job_finish`. The path is copied.
//
// The caller keeps to this:
// `image` and `path` are as for `pkgld_image_write_file`, and `image` is not freed before the job is finished; `notify` is
// null, or a function that can be called with `context` from another thread until then; `job` and `errors` are null or can be
// written.
pkgld_status pkgld_image_write_file_start(const struct pkgld_image_t *image,
                                          const char *path,
                                          size_t path_size,
                                          pkgld_notify_t notify,
                                          void *context,
                                          struct pkgld_job_t **job,
                                          struct pkgld_errors_t **errors);

// Writes the image to an open file descriptor (on Windows a `HANDLE`), from where that stands, and leaves it open. What has
// been written before a failure stays written.
//
// The caller keeps to this:
// `image` is null, or a handle that has not been freed; `descriptor` is open for as long as this takes; `crc32c` and `errors`
// are null or can be written.
pkgld_status pkgld_image_write_descriptor(const struct pkgld_image_t *image,
                                          ptrdiff_t descriptor,
                                          uint32_t *crc32c,
                                          struct pkgld_errors_t **errors);

// Writes the image to the start of the caller's memory, which has `capacity` bytes: at least `pkgld_image_size`, or nothing is
// written. After another failure the contents are undefined.
//
// The caller keeps to this:
// `image` is null, or a handle that has not been freed; so many bytes at `memory` can be written, and nobody else uses them
// meanwhile; `crc32c` and `errors` are null or can be written.
pkgld_status pkgld_image_write_memory(const struct pkgld_image_t *image,
                                      uint8_t *memory,
                                      size_t capacity,
                                      uint32_t *crc32c,
                                      struct pkgld_errors_t **errors);

// Has a thread do what `pkgld_image_write_memory` does: returns at once, with a job for `pkgld_job_finish`.
//
// The caller keeps to this:
// `image` and `memory` are as for `pkgld_image_write_memory` until the job is finished; `notify` is null, or a function that
// can be called with `context` from another thread until then; `job` and `errors` are null or can be written.
pkgld_status pkgld_image_write_memory_start(const struct pkgld_image_t *image,
                                            uint8_t *memory,
                                            size_t capacity,
                                            pkgld_notify_t notify,
                                            void *context,
                                            struct pkgld_job_t **job,
                                            struct pkgld_errors_t **errors);

// Makes the image in memory of the library, in `buffer`, which is null if that fails.
//
// The caller keeps to this:
// `image` is null, or a handle that has not been freed; `buffer`, `crc32c` and `errors` are null or can be written.
pkgld_status pkgld_image_to_buffer(const struct pkgld_image_t *image,
                                   struct pkgld_buffer_t **buffer,
                                   uint32_t *crc32c,
                                   struct pkgld_errors_t **errors);

// The first of the buffer's bytes, which belong to it; null if `buffer` is null or no such handle.
//
// The caller keeps to this:
// `buffer` is null, or a handle that has not been freed.
const uint8_t *pkgld_buffer_data(const struct pkgld_buffer_t *buffer);

// The number of the buffer's bytes; 0 if `buffer` is null or no such handle.
//
// The caller keeps to this:
// `buffer` is null, or a handle that has not been freed.
size_t pkgld_buffer_size(const struct pkgld_buffer_t *buffer);

// Frees a buffer, and sets the pointer to null. Null, and a pointer to null, are allowed.
//
// The caller keeps to this:
// `buffer` is null, or points to null or a handle that is not used any more.
pkgld_status pkgld_buffer_free(struct pkgld_buffer_t **buffer);

// Frees an image, and sets the pointer to null. Null, and a pointer to null, are allowed.
//
// The caller keeps to this:
// `image` is null, or points to null or a handle that is not used any more.
pkgld_status pkgld_image_free(struct pkgld_image_t **image);

// Whether the job is done, so that `pkgld_job_finish` will wait for no more than the return of the function that is told
// of it; false if `job` is null or no such handle.
//
// The caller keeps to this:
// `job` is null, or a handle that has not been finished.
bool pkgld_job_is_done(const struct pkgld_job_t *job);

// Waits for the job, says how it went, as the function of the same name without `_start` would have, and frees it: sets the
// pointer to null. Every job is to be finished.
//
// What it made is put into the place for it: a linked image into `image`, what the program said into `output`, the CRC-32C
// (Castagnoli) of a written image into `crc32c`. The other places for handles become null. What has no place is freed.
//
// The caller keeps to this:
// `job` is null, or points to null or a handle that nobody else uses; the others are null or can be written.
pkgld_status pkgld_job_finish(struct pkgld_job_t **job,
                              struct pkgld_image_t **image,
                              struct pkgld_output_t **output,
                              uint32_t *crc32c,
                              struct pkgld_errors_t **errors);

// Makes an empty link with the options that Julia has for a target (`PKGLD_TARGET_…`), or with the linker's own for
// `PKGLD_TARGET_OF_INPUTS`, in `link`, which is null if that fails.
//
// The caller keeps to this:
// `link` and `errors` are null or can be written.
pkgld_status pkgld_link_new(uint32_t target,
                            struct pkgld_link_t **link,
                            struct pkgld_errors_t **errors);

// Frees a link, and sets the pointer to null. Null, and a pointer to null, are allowed. Images made of it stay.
//
// The caller keeps to this:
// `link` is null, or points to null or a handle that is not used any more.
pkgld_status pkgld_link_free(struct pkgld_link_t **link);

// Adds a file: object, archive, shared library or linker script. It is opened when the link is run.
//
// The caller keeps to this:
// `link` is null, or a handle that nobody else uses now; `path` has `path_size` bytes; `errors` is null or can be written.
pkgld_status pkgld_link_add_path(struct pkgld_link_t *link,
                                 const char *path,
                                 size_t path_size,
                                 uint32_t flags,
                                 struct pkgld_errors_t **errors);

// Adds a library that is searched for by its name, as `-lNAME` is.
//
// The caller keeps to this:
// `link` is null, or a handle that nobody else uses now; `name` has `name_size` bytes; `errors` is null or can be written.
pkgld_status pkgld_link_add_library(struct pkgld_link_t *link,
                                    const char *name,
                                    size_t name_size,
                                    uint32_t flags,
                                    struct pkgld_errors_t **errors);

// Adds an object, an archive or a shared library that is in memory, under a name for messages.
//
// The bytes are not copied: they have to stay as they are until the link and all images made of it are freed.
//
// The caller keeps to this:
// `link` is null, or a handle that nobody else uses now; `name` has `name_size` bytes; `data` has `size` bytes, for as long as
// is said above; `errors` is null or can be written.
pkgld_status pkgld_link_add_bytes(struct pkgld_link_t *link,
                                  const char *name,
                                  size_t name_size,
                                  const uint8_t *data,
                                  size_t size,
                                  uint32_t flags,
                                  struct pkgld_errors_t **errors);

// Adds bytes as data of the image, under an exported name as C has it; if `size_symbol_size` is not 0, with an exported
// constant of this name, of a pointer's size, that says how many bytes there are. At least one byte.
//
// `align` is a power of two, in bytes. The bytes are not copied: they have to stay as they are until the link and all images
// made of it are freed. `flags` is 0 or `PKGLD_READ_ONLY`.
//
// The caller keeps to this:
// `link` is null, or a handle that nobody else uses now; the names have so many bytes; `data` has `size` bytes, for as long as
// is said above; `errors` is null or can be written.
pkgld_status pkgld_link_add_blob(struct pkgld_link_t *link,
                                 const char *name,
                                 size_t name_size,
                                 const uint8_t *data,
                                 size_t size,
                                 uint64_t align,
                                 const char *size_symbol,
                                 size_t size_symbol_size,
                                 uint32_t flags,
                                 struct pkgld_errors_t **errors);

// Adds a directory that is searched for libraries, after those added before.
//
// The caller keeps to this:
// `link` is null, or a handle that nobody else uses now; `path` has `path_size` bytes; `errors` is null or can be written.
pkgld_status pkgld_link_add_search_path(struct pkgld_link_t *link,
                                        const char *path,
                                        size_t path_size,
                                        struct pkgld_errors_t **errors);

// Sets the name by which loaders know the image: `DT_SONAME` in ELF images, the DLL's own name in PE images, the install name
// in Mach-O images. Of no bytes: what the linker does by itself.
//
// The caller keeps to this:
// `link` is null, or a handle that nobody else uses now; `name` has `name_size` bytes; `errors` is null or can be written.
pkgld_status pkgld_link_set_name(struct pkgld_link_t *link,
                                 const char *name,
                                 size_t name_size,
                                 struct pkgld_errors_t **errors);

// Sets an option (`PKGLD_OPTION_…`) to a value, which that describes.
//
// The caller keeps to this:
// `link` is null, or a handle that nobody else uses now; `errors` is null or can be written.
pkgld_status pkgld_link_set(struct pkgld_link_t *link,
                            uint32_t option,
                            uint64_t value,
                            struct pkgld_errors_t **errors);

// Sets a limit by its name: `output_size`, `symbols`, `sections`, `decompressed_size`, `lookups` or `relocations`. A link that
// would exceed it fails with `PKGLD_STATUS_LIMIT` and a message that has the name.
//
// The caller keeps to this:
// `link` is null, or a handle that nobody else uses now; `name` has `name_size` bytes; `errors` is null or can be written.
pkgld_status pkgld_link_set_limit(struct pkgld_link_t *link,
                                  const char *name,
                                  size_t name_size,
                                  uint64_t value,
                                  struct pkgld_errors_t **errors);

// Links, into `image`, which is null if that fails. The link stays as it is, and may be changed and run again.
//
// The caller keeps to this:
// `link` is null, or a handle that nobody changes now; what it was given in memory is still there; `image` and `errors` are
// null or can be written.
pkgld_status pkgld_link_run(const struct pkgld_link_t *link,
                            struct pkgld_image_t **image,
                            struct pkgld_errors_t **errors);

// Has a thread do what `pkgld_link_run` does: returns at once, with a job for `pkgld_job_finish`. The link is copied, and may
// be changed or freed; what it was given in memory has to stay.
//
// The caller keeps to this:
// `link` is as for `pkgld_link_run`; `notify` is null, or a function that can be called with `context` from another thread
// until the job is finished; `job` and `errors` are null or can be written.
pkgld_status pkgld_link_run_start(const struct pkgld_link_t *link,
                                  pkgld_notify_t notify,
                                  void *context,
                                  struct pkgld_job_t **job,
                                  struct pkgld_errors_t **errors);

// Runs the program with arguments as on its command line, the program's name first: each a string with a NUL byte at its end.
// What it would write to standard output and standard error is in `output`, with its exit status. `PKGLD_STATUS_OK` only says
// that it ran.
//
// The caller keeps to this:
// `arguments` has `count` pointers to strings that end with a NUL byte; `output` and `errors` are null or can be written.
pkgld_status pkgld_run(const char *const *arguments,
                       size_t count,
                       struct pkgld_output_t **output,
                       struct pkgld_errors_t **errors);

// Has a thread do what `pkgld_run` does: returns at once, with a job for `pkgld_job_finish`. The arguments are copied.
//
// The caller keeps to this:
// `arguments` is as for `pkgld_run`; `notify` is null, or a function that can be called with `context` from another thread
// until the job is finished; `job` and `errors` are null or can be written.
pkgld_status pkgld_run_start(const char *const *arguments,
                             size_t count,
                             pkgld_notify_t notify,
                             void *context,
                             struct pkgld_job_t **job,
                             struct pkgld_errors_t **errors);

// The program's exit status: 0 if it did what it was asked, 1 if not; -1 if `output` is null or no such handle.
//
// The caller keeps to this:
// `output` is null, or a handle that has not been freed.
int32_t pkgld_output_exit(const struct pkgld_output_t *output);

// The size, in bytes, and the CRC-32C (Castagnoli) of the image that the program has written, into `size` and `crc32c` where
// these are not null. False, and nothing is put there, if it has written none, or if `output` is null or no such handle.
//
// The caller keeps to this:
// `output` is null, or a handle that has not been freed; `size` and `crc32c` are null or can be written.
bool pkgld_output_image(const struct pkgld_output_t *output,
                        uint64_t *size,
                        uint32_t *crc32c);

// What the program wrote to standard output. It belongs to `output`; a null pointer if that is no such handle.
//
// The caller keeps to this:
// `output` is null, or a handle that has not been freed.
struct pkgld_text_t pkgld_output_stdout(const struct pkgld_output_t *output);

// What the program wrote to standard error. It belongs to `output`; a null pointer if that is no such handle.
//
// The caller keeps to this:
// `output` is null, or a handle that has not been freed.
struct pkgld_text_t pkgld_output_stderr(const struct pkgld_output_t *output);

// Frees an output, and sets the pointer to null. Null, and a pointer to null, are allowed.
//
// The caller keeps to this:
// `output` is null, or points to null or a handle that is not used any more.
pkgld_status pkgld_output_free(struct pkgld_output_t **output);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* PKGLD_H */
