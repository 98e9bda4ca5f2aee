// The calls that julia/PkgLD.jl makes, on whichever target:
//
//   calls run ARGUMENT...                                  the program; says "exit size crc32c", and what the program said
//   calls link TARGET NAME OUT ARCHIVE [-LDIR|-lLIBRARY|-sOPTION=VALUE]...
//                                                          the archive in memory, to OUT.memory and OUT.file

#include "pkgld.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(what)                                                                  \
    do {                                                                             \
        if (!(what)) {                                                               \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #what);               \
            exit(1);                                                                 \
        }                                                                            \
    } while (0)

// What Julia's event loop is there: woken by a thread of the library.
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t woken = PTHREAD_COND_INITIALIZER;

static int32_t wake(void *context) {
    pthread_mutex_lock(&mutex);
    ++*(int *)context;
    pthread_cond_signal(&woken);
    pthread_mutex_unlock(&mutex);
    return 0;
}

static void wait_for(int *done) {
    pthread_mutex_lock(&mutex);
    while (*done == 0) {
        pthread_cond_wait(&woken, &mutex);
    }
    pthread_mutex_unlock(&mutex);
    CHECK(*done == 1);
}

static void must(pkgld_status status, pkgld_errors_t *errors) {
    if (status != PKGLD_STATUS_OK) {
        fprintf(stderr, "%d: %s\n", (int)status, pkgld_errors_text(errors).data);
        exit(1);
    }
    CHECK(errors == NULL);
}

static void run(const char *const *arguments, size_t count) {
    pkgld_job_t *job = NULL;
    pkgld_errors_t *errors = NULL;
    pkgld_output_t *output = NULL;
    int done = 0;
    must(pkgld_run_start(arguments, count, wake, &done, &job, &errors), errors);
    wait_for(&done);
    CHECK(pkgld_job_is_done(job));
    must(pkgld_job_finish(&job, NULL, &output, NULL, &errors), errors);
    CHECK(job == NULL && output != NULL);
    uint64_t size = 0;
    uint32_t crc32c = 0;
    bool written = pkgld_output_image(output, &size, &crc32c);
    CHECK(written == (pkgld_output_exit(output) == 0));
    printf("%d %" PRIu64 " %08" PRIx32 "\n", (int)pkgld_output_exit(output), size, crc32c);
    fputs(pkgld_output_stdout(output).data, stdout);
    fputs(pkgld_output_stderr(output).data, stdout);
    CHECK(pkgld_output_free(&output) == PKGLD_STATUS_OK);
}

static void *load(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    CHECK(file != NULL && fseek(file, 0, SEEK_END) == 0);
    long end = ftell(file);
    CHECK(end > 0 && fseek(file, 0, SEEK_SET) == 0);
    void *data = malloc((size_t)end);
    CHECK(data != NULL && fread(data, 1, (size_t)end, file) == (size_t)end && fclose(file) == 0);
    *size = (size_t)end;
    return data;
}

static void link_from_memory(char **arguments, int count) {
    CHECK(count >= 4);
    pkgld_errors_t *errors = NULL;
    pkgld_link_t *link = NULL;
    must(pkgld_link_new((uint32_t)atoi(arguments[0]), &link, &errors), errors);
    must(pkgld_link_set_name(link, arguments[1], strlen(arguments[1]), &errors), errors);
    size_t size;
    unsigned char *archive = load(arguments[3], &size);
    must(pkgld_link_add_bytes(link, "archive", 7, archive, size, PKGLD_WHOLE_ARCHIVE, &errors), errors);
    for (int i = 4; i < count; i++) {
        const char *word = arguments[i] + 2;
        switch (arguments[i][1]) {
        case 'L':
            must(pkgld_link_add_search_path(link, word, strlen(word), &errors), errors);
            break;
        case 'l':
            must(pkgld_link_add_library(link, word, strlen(word), 0, &errors), errors);
            break;
        default:
            must(pkgld_link_set(link, (uint32_t)atoi(word), strtoull(strchr(word, '=') + 1, NULL, 10), &errors), errors);
        }
    }

    pkgld_job_t *job = NULL;
    pkgld_image_t *image = NULL;
    int done = 0;
    must(pkgld_link_run_start(link, wake, &done, &job, &errors), errors);
    // It has what it needs.
    CHECK(pkgld_link_free(&link) == PKGLD_STATUS_OK);
    wait_for(&done);
    CHECK(pkgld_job_is_done(job));
    must(pkgld_job_finish(&job, &image, NULL, NULL, &errors), errors);

    uint64_t bytes = pkgld_image_size(image);
    unsigned char *memory = malloc(bytes);
    CHECK(memory != NULL);
    uint32_t sums[2] = {0, 1};
    // Without being told.
    must(pkgld_image_write_memory_start(image, memory, bytes, NULL, NULL, &job, &errors), errors);
    while (!pkgld_job_is_done(job)) {
    }
    must(pkgld_job_finish(&job, NULL, NULL, &sums[0], &errors), errors);

    char *path = malloc(strlen(arguments[2]) + 8);
    CHECK(path != NULL);
    sprintf(path, "%s.file", arguments[2]);
    // A second job beside that of the same image.
    pkgld_job_t *other = NULL;
    must(pkgld_image_write_file_start(image, path, strlen(path), NULL, NULL, &job, &errors), errors);
    must(pkgld_image_write_memory_start(image, memory, bytes, NULL, NULL, &other, &errors), errors);
    must(pkgld_job_finish(&job, NULL, NULL, &sums[1], &errors), errors);
    must(pkgld_job_finish(&other, NULL, NULL, NULL, &errors), errors);
    CHECK(sums[0] == sums[1]);

    sprintf(path, "%s.memory", arguments[2]);
    FILE *file = fopen(path, "wb");
    CHECK(file != NULL && fwrite(memory, 1, bytes, file) == bytes && fclose(file) == 0);
    printf("%08" PRIx32 "\n", sums[0]);
    CHECK(pkgld_image_free(&image) == PKGLD_STATUS_OK);
    free(path);
    free(memory);
    free(archive);
}

int main(int count, char **arguments) {
    CHECK(count > 2);
    if (strcmp(arguments[1], "run") == 0) {
        run((const char *const *)(arguments + 2), (size_t)count - 2);
    } else {
        link_from_memory(arguments + 2, count - 2);
    }
    return 0;
}
