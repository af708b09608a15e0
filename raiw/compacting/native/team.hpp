// The threads with which torch computes, where its OpenMP can be asked for them.
#pragma once

#if defined(__linux__)
#include <dlfcn.h>
#endif

namespace raiw {

// Calls work(data) on so many of torch's threads at once, and returns when all have ended.
// After a layer of torch's own these threads spin for a while: others would wait for a processor.
using Team = void (*)(void (*work)(void*), void* data, unsigned threads, unsigned flags);

// Null where torch is not loaded or uses another OpenMP.
inline Team torch_team() {
#if defined(__linux__)
    if (void* torch = dlopen("libtorch_cpu.so", RTLD_LAZY | RTLD_NOLOAD)) {
        const auto team = reinterpret_cast<Team>(dlsym(torch, "GOMP_parallel"));
        dlclose(torch);  // was loaded before, and stays
        return team;
    }
#endif
    return nullptr;
}

}  // namespace raiw
