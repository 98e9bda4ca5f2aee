/* What both stub libraries share: the arithmetic of `mix.rs`, once more in C. */
#include <stddef.h>
#include <stdint.h>

#ifdef _WIN32
#define EXPORT __declspec(dllexport)
/* No startup code is linked in that would run constructors: DllMain calls them. */
#define CONSTRUCTOR
#else
#define EXPORT __attribute__((visibility("default")))
#define CONSTRUCTOR __attribute__((constructor))
#endif
#define GOLDEN 0x9e3779b97f4a7c15ull

static uint64_t fnv1a(const char *name) {
    uint64_t hash = 0xcbf29ce484222325ull;
    for (; *name; name++)
        hash = (hash ^ (unsigned char)*name) * 0x100000001b3ull;
    return hash;
}

static uint64_t splitmix64(uint64_t seed) {
    uint64_t z = seed + GOLDEN;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

static uint64_t runtime_result(const char *name, uint64_t x) {
    uint64_t y = (x ^ fnv1a(name)) * GOLDEN;
    return y ^ (y >> 32);
}
