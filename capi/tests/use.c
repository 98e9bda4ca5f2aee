// Uses libpkgld, and misuses it: use ARCHIVE STUBS OUT. Writes images that the caller compares, to OUT.file, OUT.fd,
// OUT.memory, OUT.buffer, OUT.run and OUT.blob.

#include "pkgld.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHECK(what)                                                                  \
    do {                                                                             \
        if (!(what)) {                                                               \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #what);               \
            exit(1);                                                                 \
        }                                                                            \
    } while (0)

static const char *archive, *stubs, *out;

static char *name(const char *suffix) {
    char *path = malloc(strlen(out) + strlen(suffix) + 1);
    CHECK(path != NULL);
    strcpy(path, out);
    return strcat(path, suffix);
}

static void save(const char *suffix, const void *data, size_t size) {
    char *path = name(suffix);
    FILE *file = fopen(path, "wb");
    CHECK(file != NULL && fwrite(data, 1, size, file) == size && fclose(file) == 0);
    free(path);
}

static unsigned char *load(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    CHECK(file != NULL && fseek(file, 0, SEEK_END) == 0);
    long end = ftell(file);
    CHECK(end > 0 && fseek(file, 0, SEEK_SET) == 0);
    unsigned char *data = malloc((size_t)end);
    CHECK(data != NULL && fread(data, 1, (size_t)end, file) == (size_t)end && fclose(file) == 0);
    *size = (size_t)end;
    return data;
}

static pkgld_link_t *link_of(const unsigned char *data, size_t size) {
    pkgld_link_t *link = NULL;
    pkgld_errors_t *errors = NULL;
    CHECK(pkgld_link_new(PKGLD_TARGET_LINUX_X86_64, &link, &errors) == PKGLD_STATUS_OK && errors == NULL);
    CHECK(pkgld_link_add_bytes(link, "archive", 7, data, size, PKGLD_WHOLE_ARCHIVE, &errors) == PKGLD_STATUS_OK);
    CHECK(pkgld_link_add_search_path(link, stubs, strlen(stubs), &errors) == PKGLD_STATUS_OK);
    CHECK(pkgld_link_add_library(link, "julia", 5, 0, &errors) == PKGLD_STATUS_OK);
    CHECK(pkgld_link_add_library(link, "julia-internal", 14, 0, NULL) == PKGLD_STATUS_OK);
    CHECK(pkgld_link_set_name(link, "image.so", 8, &errors) == PKGLD_STATUS_OK && errors == NULL);
    return link;
}

// Every way out gives the same bytes.
static void images(void) {
    size_t size;
    unsigned char *data = load(archive, &size);
    pkgld_link_t *link = link_of(data, size);
    pkgld_image_t *image = NULL;
    pkgld_errors_t *errors = NULL;
    CHECK(pkgld_link_run(link, &image, &errors) == PKGLD_STATUS_OK && image != NULL && errors == NULL);
    CHECK(pkgld_link_free(&link) == PKGLD_STATUS_OK && link == NULL);

    uint32_t sums[4] = {0, 1, 2, 3};
    char *path = name(".file");
    CHECK(pkgld_image_write_file(image, path, strlen(path), &sums[0], &errors) == PKGLD_STATUS_OK);
    free(path);

    path = name(".fd");
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    CHECK(fd >= 0 && pkgld_image_write_descriptor(image, fd, &sums[1], &errors) == PKGLD_STATUS_OK && close(fd) == 0);
    free(path);

    uint64_t bytes = pkgld_image_size(image);
    CHECK(bytes > 0);
    unsigned char *memory = malloc(bytes);
    CHECK(memory != NULL);
    memset(memory, 0x5a, bytes);
    CHECK(pkgld_image_write_memory(image, memory, bytes - 1, NULL, &errors) == PKGLD_STATUS_BUFFER_TOO_SMALL);
    for (uint64_t at = 0; at < bytes; at++) {
        CHECK(memory[at] == 0x5a);
    }
    CHECK(pkgld_errors_count(errors) == 1 && pkgld_errors_free(&errors) == PKGLD_STATUS_OK);
    CHECK(pkgld_image_write_memory(image, memory, bytes, &sums[2], &errors) == PKGLD_STATUS_OK);
    save(".memory", memory, bytes);
    free(memory);

    pkgld_buffer_t *buffer = NULL;
    CHECK(pkgld_image_to_buffer(image, &buffer, &sums[3], &errors) == PKGLD_STATUS_OK);
    CHECK(pkgld_buffer_size(buffer) == bytes);
    save(".buffer", pkgld_buffer_data(buffer), pkgld_buffer_size(buffer));
    CHECK(pkgld_buffer_free(&buffer) == PKGLD_STATUS_OK && buffer == NULL);
    CHECK(sums[0] == sums[1] && sums[0] == sums[2] && sums[0] == sums[3]);
    printf("%08x\n", (unsigned)sums[0]);
    CHECK(pkgld_image_free(&image) == PKGLD_STATUS_OK && image == NULL);
    free(data);
}

static void blob(void) {
    unsigned char heap[1000];
    memset(heap, 7, sizeof heap);
    pkgld_link_t *link = NULL;
    pkgld_image_t *image = NULL;
    CHECK(pkgld_link_new(PKGLD_TARGET_LINUX_X86_64, &link, NULL) == PKGLD_STATUS_OK);
    CHECK(pkgld_link_add_blob(link, "data", 4, heap, sizeof heap, 3, NULL, 0, 0, NULL) == PKGLD_STATUS_ARGUMENT);
    CHECK(pkgld_link_add_blob(link, "data", 4, NULL, 0, 64, NULL, 0, 0, NULL) == PKGLD_STATUS_ARGUMENT);
    CHECK(pkgld_link_add_blob(link, "da\0a", 4, heap, 1, 64, NULL, 0, 0, NULL) == PKGLD_STATUS_ARGUMENT);
    CHECK(pkgld_link_add_blob(link, "data", 4, heap, sizeof heap, 64, "size", 4, 0, NULL) == PKGLD_STATUS_OK);
    CHECK(pkgld_link_run(link, &image, NULL) == PKGLD_STATUS_OK);
    char *path = name(".blob");
    CHECK(pkgld_image_write_file(image, path, strlen(path), NULL, NULL) == PKGLD_STATUS_OK);
    free(path);
    pkgld_image_free(&image);

    // The same name twice.
    pkgld_errors_t *errors = NULL;
    pkgld_problem_t problem;
    CHECK(pkgld_link_add_blob(link, "data", 4, heap, sizeof heap, 64, NULL, 0, 0, NULL) == PKGLD_STATUS_OK);
    CHECK(pkgld_link_run(link, &image, &errors) == PKGLD_STATUS_DUPLICATE && image == NULL);
    CHECK(pkgld_errors_count(errors) == 1);
    CHECK(pkgld_errors_problem(errors, 0, &problem) == PKGLD_STATUS_OK);
    CHECK(problem.status == PKGLD_STATUS_DUPLICATE && strcmp(problem.symbol.data, "data") == 0);
    CHECK(problem.symbol.size == 4 && strstr(problem.message.data, "duplicate symbol: data") != NULL);
    CHECK(problem.file.size > 0 && pkgld_errors_text(errors).size == problem.message.size);
    CHECK(pkgld_errors_problem(errors, 1, &problem) == PKGLD_STATUS_ARGUMENT);
    pkgld_errors_free(&errors);
    pkgld_link_free(&link);
}

static void program(void) {
    char *path = name(".run");
    const char *arguments[] = {"pkgld", "-flavor", "gnu", "-shared", "-soname", "image.so", "-o", path,
        "--whole-archive", archive, "--no-whole-archive", "-L", stubs, "-ljulia", "-ljulia-internal"};
    pkgld_output_t *output = NULL;
    CHECK(pkgld_run(arguments, sizeof arguments / sizeof *arguments, &output, NULL) == PKGLD_STATUS_OK);
    if (pkgld_output_exit(output) != 0) {
        fprintf(stderr, "%s", pkgld_output_stderr(output).data);
        exit(1);
    }
    pkgld_output_free(&output);
    free(path);
    const char *help[] = {"ld.lld", "--help"};
    CHECK(pkgld_run(help, 2, &output, NULL) == PKGLD_STATUS_OK && pkgld_output_exit(output) == 0);
    CHECK(pkgld_output_stdout(output).size > 100 && pkgld_output_stderr(output).size == 0);
    pkgld_output_free(&output);
    const char *wrong[] = {"ld.lld", "--no-such-option"};
    CHECK(pkgld_run(wrong, 2, &output, NULL) == PKGLD_STATUS_OK && pkgld_output_exit(output) == 1);
    CHECK(strstr(pkgld_output_stderr(output).data, "--no-such-option") != NULL);
    CHECK(pkgld_output_free(&output) == PKGLD_STATUS_OK && output == NULL);
}

static void mistakes(void) {
    pkgld_link_t *link = NULL;
    pkgld_image_t *image = NULL;
    pkgld_errors_t *errors = NULL;
    CHECK(pkgld_link_new(0, NULL, &errors) == PKGLD_STATUS_ARGUMENT && pkgld_errors_count(errors) == 1);
    pkgld_errors_free(&errors);
    CHECK(pkgld_link_new(999, &link, NULL) == PKGLD_STATUS_ARGUMENT && link == NULL);
    CHECK(pkgld_link_new(0, &link, NULL) == PKGLD_STATUS_OK);
    CHECK(pkgld_link_run(link, &image, &errors) == PKGLD_STATUS_NO_INPUT && image == NULL);
    pkgld_errors_free(&errors);
    CHECK(pkgld_link_run(link, NULL, NULL) == PKGLD_STATUS_ARGUMENT);
    CHECK(pkgld_link_run((pkgld_link_t *)errors, &image, NULL) == PKGLD_STATUS_ARGUMENT);
    CHECK(pkgld_link_add_path(link, "", 0, 0, NULL) == PKGLD_STATUS_ARGUMENT);
    CHECK(pkgld_link_add_path(link, NULL, 3, 0, NULL) == PKGLD_STATUS_ARGUMENT);
    CHECK(pkgld_link_add_path(link, "a\0b", 3, 0, NULL) == PKGLD_STATUS_ARGUMENT);
    CHECK(pkgld_link_add_path(link, "a", 1, 64, NULL) == PKGLD_STATUS_ARGUMENT);
    CHECK(pkgld_link_add_library(link, "\xff", 1, 0, NULL) == PKGLD_STATUS_ARGUMENT);
    CHECK(pkgld_link_add_bytes(link, "n", 1, NULL, 5, 0, NULL) == PKGLD_STATUS_ARGUMENT);
    CHECK(pkgld_link_set(link, 77, 0, NULL) == PKGLD_STATUS_ARGUMENT);
    CHECK(pkgld_link_set(link, PKGLD_OPTION_STRIP, 3, NULL) == PKGLD_STATUS_ARGUMENT);
    // One kind of handle in the place of another.
    CHECK(pkgld_image_size((pkgld_image_t *)link) == 0);
    image = (pkgld_image_t *)link;
    CHECK(pkgld_image_free(&image) == PKGLD_STATUS_ARGUMENT && image != NULL);
    CHECK(pkgld_link_add_path(link, "/no/such/file", 13, 0, NULL) == PKGLD_STATUS_OK);
    CHECK(pkgld_link_run(link, &image, &errors) == PKGLD_STATUS_READ && image == NULL);
    pkgld_problem_t problem;
    CHECK(pkgld_errors_problem(errors, 0, &problem) == PKGLD_STATUS_OK);
    CHECK(strcmp(problem.file.data, "/no/such/file") == 0 && problem.section.size == 0 && !problem.has_offset);
    pkgld_errors_free(&errors);
    CHECK(pkgld_link_free(&link) == PKGLD_STATUS_OK && link == NULL);
    // Freed: null from now on.
    CHECK(pkgld_link_free(&link) == PKGLD_STATUS_OK && pkgld_link_free(NULL) == PKGLD_STATUS_OK);
    CHECK(pkgld_link_set_name(link, "n", 1, NULL) == PKGLD_STATUS_ARGUMENT);
    CHECK(pkgld_image_write_file(NULL, "x", 1, NULL, NULL) == PKGLD_STATUS_ARGUMENT);
    CHECK(pkgld_image_write_descriptor(NULL, -1, NULL, NULL) == PKGLD_STATUS_ARGUMENT);
    CHECK(pkgld_image_warning_count(NULL) == 0 && pkgld_image_warning(NULL, 0).data == NULL);
    CHECK(pkgld_run(NULL, 0, NULL, NULL) == PKGLD_STATUS_ARGUMENT && pkgld_output_exit(NULL) == -1);
    CHECK(pkgld_buffer_data(NULL) == NULL && pkgld_buffer_size(NULL) == 0 && pkgld_errors_text(NULL).data == NULL);
}

// A call fails as it should, with one problem that has the status and says what is wrong.
#define FAILS(call, kind, words)                                                     \
    do {                                                                             \
        pkgld_errors_t *errors = NULL;                                               \
        pkgld_problem_t problem = {0};                                               \
        pkgld_status status = (call);                                                \
        pkgld_errors_problem(errors, 0, &problem);                                   \
        const char *text = problem.message.data != NULL ? problem.message.data : ""; \
        if (status != (kind) || problem.status != status || strstr(text, words) == NULL) { \
            fprintf(stderr, "%s:%d: %d %s\n", __FILE__, __LINE__, (int)status, text); \
            exit(1);                                                                 \
        }                                                                            \
        CHECK(pkgld_errors_count(errors) == 1);                                      \
        CHECK(pkgld_errors_free(&errors) == PKGLD_STATUS_OK && errors == NULL);      \
    } while (0)

// Bad input is an error with words, and nothing is written.
static void bad_input(void) {
    const unsigned char heap[64] = {0};
    size_t size;
    unsigned char *data = load(archive, &size);
    pkgld_link_t *link = link_of(data, size);
    pkgld_image_t *image = NULL;
    pkgld_job_t *job = NULL;

    FAILS(pkgld_link_add_bytes(link, "n", 1, NULL, 5, 0, &errors), PKGLD_STATUS_ARGUMENT, "data is null, and 5 bytes long");
    FAILS(pkgld_link_add_bytes(link, NULL, 1, heap, 5, 0, &errors), PKGLD_STATUS_ARGUMENT, "name is null");
    FAILS(pkgld_link_add_bytes(link, "a\0b", 3, heap, 5, 0, &errors), PKGLD_STATUS_ARGUMENT, "name holds a NUL byte");
    FAILS(pkgld_link_add_bytes(link, "n", 1, heap, SIZE_MAX, 0, &errors), PKGLD_STATUS_ARGUMENT, "more than memory can hold");
    FAILS(pkgld_link_add_path(link, NULL, 0, 0, &errors), PKGLD_STATUS_ARGUMENT, "path is empty");
    FAILS(pkgld_link_add_library(link, "", 0, 0, &errors), PKGLD_STATUS_ARGUMENT, "name is empty");
    FAILS(pkgld_link_add_search_path(link, "", 0, &errors), PKGLD_STATUS_ARGUMENT, "path is empty");
    FAILS(pkgld_link_set(link, PKGLD_OPTION_STRIP, 9, &errors), PKGLD_STATUS_ARGUMENT, "option 3 cannot be 9");
    FAILS(pkgld_link_set(link, 99, 0, &errors), PKGLD_STATUS_ARGUMENT, "option 99 is none");
    FAILS(pkgld_link_add_blob(link, "d", 1, heap, 0, 8, NULL, 0, 0, &errors), PKGLD_STATUS_ARGUMENT, "at least one byte");
    FAILS(pkgld_link_add_blob(link, "d", 1, NULL, 8, 8, NULL, 0, 0, &errors), PKGLD_STATUS_ARGUMENT, "data is null");
    FAILS(pkgld_link_add_blob(link, "", 0, heap, 8, 8, NULL, 0, 0, &errors), PKGLD_STATUS_ARGUMENT, "needs a name");
    FAILS(pkgld_link_add_blob(link, "d\0e", 3, heap, 8, 8, NULL, 0, 0, &errors), PKGLD_STATUS_ARGUMENT, "NUL byte");
    FAILS(pkgld_link_add_blob(link, "d", 1, heap, 8, 8, "\0", 1, 0, &errors), PKGLD_STATUS_ARGUMENT, "NUL byte");
    FAILS(pkgld_link_add_blob(link, "d", 1, heap, 8, 24, NULL, 0, 0, &errors), PKGLD_STATUS_ARGUMENT, "a power of two is needed");
    FAILS(pkgld_link_add_blob(link, "d", 1, heap, 8, 0, NULL, 0, 0, &errors), PKGLD_STATUS_ARGUMENT, "a power of two is needed");
    FAILS(pkgld_link_add_blob(link, "d", 1, heap, 8, 8, NULL, 0, 9, &errors), PKGLD_STATUS_ARGUMENT, "flags 0x9");
    FAILS(pkgld_link_run(NULL, &image, &errors), PKGLD_STATUS_ARGUMENT, "link is null");
    FAILS(pkgld_link_run(link, NULL, &errors), PKGLD_STATUS_ARGUMENT, "no place for the result");
    FAILS(pkgld_link_run_start(NULL, NULL, NULL, &job, &errors), PKGLD_STATUS_ARGUMENT, "link is null");
    FAILS(pkgld_link_run_start(link, NULL, NULL, NULL, &errors), PKGLD_STATUS_ARGUMENT, "no place for the result");
    FAILS(pkgld_job_finish(NULL, NULL, NULL, NULL, &errors), PKGLD_STATUS_ARGUMENT, "job is null");
    FAILS(pkgld_job_finish(&job, NULL, NULL, NULL, &errors), PKGLD_STATUS_ARGUMENT, "job is null");
    FAILS(pkgld_run_start(NULL, 0, NULL, NULL, &job, &errors), PKGLD_STATUS_ARGUMENT, "arguments are none");
    const char *const nothing[] = {"ld.lld", NULL};
    FAILS(pkgld_run_start(nothing, 2, NULL, NULL, &job, &errors), PKGLD_STATUS_ARGUMENT, "argument 1 is null");
    CHECK(job == NULL && !pkgld_job_is_done(NULL) && !pkgld_job_is_done((pkgld_job_t *)link));

    // Nothing of that has stayed.
    CHECK(pkgld_link_run(link, &image, NULL) == PKGLD_STATUS_OK);
    uint64_t bytes = pkgld_image_size(image);
    unsigned char memory[8] = {1, 2, 3};
    FAILS(pkgld_image_write_memory(image, memory, 8, NULL, &errors), PKGLD_STATUS_BUFFER_TOO_SMALL, "the memory 8");
    FAILS(pkgld_image_write_memory_start(image, memory, 8, NULL, NULL, &job, &errors), PKGLD_STATUS_BUFFER_TOO_SMALL, "the memory 8");
    CHECK(memcmp(memory, "\1\2\3\0\0\0\0\0", 8) == 0);
    FAILS(pkgld_image_write_memory(image, NULL, bytes, NULL, &errors), PKGLD_STATUS_ARGUMENT, "memory is null");
    FAILS(pkgld_image_write_descriptor(image, -1, NULL, &errors), PKGLD_STATUS_ARGUMENT, "descriptor -1");
    FAILS(pkgld_image_write_file(image, "/no/such/directory/x", 20, NULL, &errors), PKGLD_STATUS_WRITE, "/no/such/directory");
    FAILS(pkgld_image_write_file_start(image, "", 0, NULL, NULL, &job, &errors), PKGLD_STATUS_ARGUMENT, "path is empty");
    CHECK(pkgld_image_write_file_start(image, "/no/such/directory/x", 20, NULL, NULL, &job, NULL) == PKGLD_STATUS_OK);
    FAILS(pkgld_job_finish(&job, NULL, NULL, NULL, &errors), PKGLD_STATUS_WRITE, "/no/such/directory");
    CHECK(job == NULL && pkgld_image_free(&image) == PKGLD_STATUS_OK);
    FAILS(pkgld_image_to_buffer(image, NULL, NULL, &errors), PKGLD_STATUS_ARGUMENT, "buffer is null");
    FAILS(pkgld_image_write_file(image, "x", 1, NULL, &errors), PKGLD_STATUS_ARGUMENT, "image is null: never made, or freed");

    // A name that an object has, too.
    CHECK(pkgld_link_add_blob(link, "jl_system_image_data", 20, heap, 8, 8, NULL, 0, 0, NULL) == PKGLD_STATUS_OK);
    FAILS(pkgld_link_run(link, &image, &errors), PKGLD_STATUS_DUPLICATE, "duplicate symbol: jl_system_image_data");
    CHECK(image == NULL && pkgld_link_run_start(link, NULL, NULL, &job, NULL) == PKGLD_STATUS_OK);
    FAILS(pkgld_job_finish(&job, &image, NULL, NULL, &errors), PKGLD_STATUS_DUPLICATE, "jl_system_image_data");
    CHECK(image == NULL && job == NULL && pkgld_link_free(&link) == PKGLD_STATUS_OK);

    // No bytes, a part of an object, a limit.
    CHECK(pkgld_link_new(PKGLD_TARGET_LINUX_X86_64, &link, NULL) == PKGLD_STATUS_OK);
    CHECK(pkgld_link_add_bytes(link, "nothing", 7, NULL, 0, 0, NULL) == PKGLD_STATUS_OK);
    FAILS(pkgld_link_run(link, &image, &errors), PKGLD_STATUS_UNSUPPORTED, "nothing: empty file");
    CHECK(pkgld_link_free(&link) == PKGLD_STATUS_OK);
    link = link_of(data, size / 2);
    FAILS(pkgld_link_run(link, &image, &errors), PKGLD_STATUS_MALFORMED, "archive");
    CHECK(pkgld_link_free(&link) == PKGLD_STATUS_OK);
    link = link_of(data, size);
    FAILS(pkgld_link_set_limit(link, "symbol", 6, 3, &errors), PKGLD_STATUS_ARGUMENT, "none of output_size, symbols");
    CHECK(pkgld_link_set_limit(link, "relocations", 11, 2, NULL) == PKGLD_STATUS_OK);
    FAILS(pkgld_link_run(link, &image, &errors), PKGLD_STATUS_LIMIT, "--limit=relocations=N");
    CHECK(pkgld_link_set_limit(link, "relocations", 11, UINT64_MAX, NULL) == PKGLD_STATUS_OK);
    CHECK(pkgld_link_set(link, PKGLD_OPTION_SYMBOL_LIMIT, 3, NULL) == PKGLD_STATUS_OK);
    FAILS(pkgld_link_run(link, &image, &errors), PKGLD_STATUS_LIMIT, "more than the limit of 3");
    CHECK(pkgld_link_free(&link) == PKGLD_STATUS_OK);

    // A defect of the library, which one with debug assertions shows on request: no panic crosses the border.
    link = link_of(data, size);
    CHECK(pkgld_link_set(link, UINT32_MAX, 1, NULL) == PKGLD_STATUS_OK);
    FAILS(pkgld_link_run(link, &image, &errors), PKGLD_STATUS_INTERNAL, "please report it: as asked for");
    CHECK(pkgld_link_run_start(link, NULL, NULL, &job, NULL) == PKGLD_STATUS_OK);
    FAILS(pkgld_job_finish(&job, &image, NULL, NULL, &errors), PKGLD_STATUS_INTERNAL, "please report it: as asked for");
    CHECK(image == NULL && pkgld_link_free(&link) == PKGLD_STATUS_OK);
    free(data);
}

static int32_t count_one(void *context) {
    __atomic_fetch_add((int *)context, 1, __ATOMIC_SEQ_CST);
    return 0;
}

// Many jobs at a time, each told of once, some of whose results nobody wants.
static void jobs(void) {
    enum { COUNT = 12 };
    pkgld_job_t *running[COUNT];
    size_t size;
    unsigned char *data = load(archive, &size);
    int done = 0;
    for (int i = 0; i < COUNT; i++) {
        pkgld_link_t *link = link_of(data, size);
        CHECK(pkgld_link_set(link, PKGLD_OPTION_THREADS, (uint64_t)(i % 4), NULL) == PKGLD_STATUS_OK);
        CHECK(pkgld_link_run_start(link, count_one, &done, &running[i], NULL) == PKGLD_STATUS_OK);
        CHECK(pkgld_link_free(&link) == PKGLD_STATUS_OK);
    }
    uint32_t sum = 0;
    for (int i = 0; i < COUNT; i++) {
        pkgld_image_t *image = NULL;
        pkgld_output_t *output = (pkgld_output_t *)data;
        CHECK(pkgld_job_finish(&running[i], i % 3 == 0 ? NULL : &image, &output, NULL, NULL) == PKGLD_STATUS_OK);
        CHECK(running[i] == NULL && output == NULL && (image == NULL) == (i % 3 == 0));
        if (image != NULL) {
            pkgld_buffer_t *buffer = NULL;
            uint32_t own;
            CHECK(pkgld_image_to_buffer(image, &buffer, &own, NULL) == PKGLD_STATUS_OK);
            CHECK(i == 1 || own == sum);
            sum = own;
            CHECK(pkgld_buffer_free(&buffer) == PKGLD_STATUS_OK && pkgld_image_free(&image) == PKGLD_STATUS_OK);
        }
    }
    CHECK(__atomic_load_n(&done, __ATOMIC_SEQ_CST) == COUNT);
    free(data);
}

static pkgld_image_t *common;

// Makes images of its own, and the common one's bytes beside others who do.
static void *work(void *sum) {
    size_t size;
    unsigned char *data = load(archive, &size);
    for (int round = 0; round < 3; round++) {
        pkgld_link_t *link = link_of(data, size);
        pkgld_image_t *image = NULL;
        pkgld_buffer_t *buffer = NULL;
        uint32_t own, shared;
        CHECK(pkgld_link_run(link, &image, NULL) == PKGLD_STATUS_OK);
        CHECK(pkgld_image_to_buffer(image, &buffer, &own, NULL) == PKGLD_STATUS_OK);
        pkgld_buffer_free(&buffer);
        CHECK(pkgld_image_to_buffer(common, &buffer, &shared, NULL) == PKGLD_STATUS_OK && own == shared);
        pkgld_buffer_free(&buffer);
        pkgld_image_free(&image);
        pkgld_link_free(&link);
        *(uint32_t *)sum = own;
    }
    free(data);
    return NULL;
}

static void threads(void) {
    enum { COUNT = 6 };
    pthread_t ids[COUNT];
    uint32_t sums[COUNT];
    size_t size;
    unsigned char *data = load(archive, &size);
    pkgld_link_t *link = link_of(data, size);
    CHECK(pkgld_link_run(link, &common, NULL) == PKGLD_STATUS_OK);
    for (int i = 0; i < COUNT; i++) {
        CHECK(pthread_create(&ids[i], NULL, work, &sums[i]) == 0);
    }
    for (int i = 0; i < COUNT; i++) {
        CHECK(pthread_join(ids[i], NULL) == 0 && sums[i] == sums[0]);
    }
    pkgld_image_free(&common);
    pkgld_link_free(&link);
    free(data);
}

int main(int count, char **arguments) {
    CHECK(count == 4);
    archive = arguments[1];
    stubs = arguments[2];
    out = arguments[3];
    CHECK(pkgld_abi_version() == PKGLD_ABI_VERSION && strlen(pkgld_version()) >= 5);
    images();
    blob();
    program();
    mistakes();
    bad_input();
    jobs();
    threads();
    return 0;
}
