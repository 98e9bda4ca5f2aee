// The header as C++: links one image of a blob, with a deleter for each handle.

#include "pkgld.h"

#include <cstdint>
#include <memory>
#include <string>

namespace {

struct Free {
    void operator()(pkgld_link_t *link) const { pkgld_link_free(&link); }
    void operator()(pkgld_image_t *image) const { pkgld_image_free(&image); }
};

}

int main(int count, char **arguments) {
    if (count != 2 || pkgld_abi_version() != PKGLD_ABI_VERSION) {
        return 1;
    }
    const std::string heap(1000, '\7'), path(arguments[1]);
    pkgld_link_t *made = nullptr;
    if (pkgld_link_new(PKGLD_TARGET_LINUX_X86_64, &made, nullptr) != PKGLD_STATUS_OK) {
        return 2;
    }
    const std::unique_ptr<pkgld_link_t, Free> link(made);
    const auto *bytes = reinterpret_cast<const unsigned char *>(heap.data());
    if (pkgld_link_add_blob(link.get(), "data", 4, bytes, heap.size(), 64, "size", 4, 0, nullptr) != PKGLD_STATUS_OK) {
        return 3;
    }
    pkgld_image_t *linked = nullptr;
    if (pkgld_link_run(link.get(), &linked, nullptr) != PKGLD_STATUS_OK) {
        return 4;
    }
    const std::unique_ptr<pkgld_image_t, Free> image(linked);
    std::uint32_t crc32c = 0;
    return pkgld_image_write_file(image.get(), path.data(), path.size(), &crc32c, nullptr) == PKGLD_STATUS_OK ? 0 : 5;
}
