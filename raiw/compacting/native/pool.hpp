// Threads that share the parts of a layer: torch's, or own ones that wait for work between calls,
// because starting one takes as long as a small layer.
#pragma once

#ifndef _WIN32
#include <pthread.h>
#endif

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <new>
#include <thread>
#include <vector>

#include "geometry.hpp"
#include "team.hpp"

namespace raiw {

// Floats for a kernel to work in; they start at a cache line, and are kept for the next call.
class Workspace {
public:
    Workspace() = default;
    Workspace(Workspace&& other) noexcept : floats_(other.floats_), size_(other.size_) {
        other.floats_ = nullptr;
    }
    ~Workspace() { release(); }

    float* take(Count size) {
        if (size > size_) {
            release();
            const auto bytes = static_cast<std::size_t>(size) * sizeof(float);
            floats_ = static_cast<float*>(::operator new(bytes, kLine));
            std::fill(floats_, floats_ + size, 0.0f);  // what is read past an end is a number
            size_ = size;
        }
        return floats_;
    }

private:
    static constexpr std::align_val_t kLine{64};

    void release() {
        if (floats_) ::operator delete(floats_, kLine);
        floats_ = nullptr;
        size_ = 0;
    }

    float* floats_ = nullptr;
    Count size_ = 0;
};

// One caller at a time has the pool; others find it busy and work alone.
class Pool {
public:
    static Pool& shared() {
        // Never deleted: its threads may outlast every static object.
        if (!instance) instance = new Pool;
        return *instance;
    }

    std::mutex& owner() { return owner_; }

    // Makes sure of so many threads, the caller's included, and of a workspace for each.
    unsigned prepare(unsigned threads) {
        while (workspaces.size() < threads + 1u) workspaces.emplace_back();
        if (team_) return threads;
        try {
            while (started_ + 1 < threads) {
                std::thread(&Pool::serve, this, started_ + 1).detach();
                ++started_;
            }
        } catch (const std::system_error&) {
            // Fewer threads do the same work.
        }
        return std::min(threads, started_ + 1);
    }

    // Calls task(item, thread) for every item; which thread does which is left to chance.
    void run(Count items, unsigned threads, const std::function<void(Count, unsigned)>& task) {
        Work work{task, items};
        if (threads < 2 || items < 2) return work.share(0);
        if (team_) return team_(&Pool::join, &work, threads, 0);
        {
            const std::lock_guard<std::mutex> lock(state_);
            work_ = &work;
            wanted_ = threads;
            generation_.fetch_add(1, std::memory_order_release);
        }
        wake_.notify_all();
        work.share(0);
        std::unique_lock<std::mutex> lock(state_);
        work_ = nullptr;  // who wakes up only now finds nothing to do
        done_.wait(lock, [this] { return running_ == 0; });
    }

    std::vector<Workspace> workspaces;  // the last is shared by all threads

private:
    static inline Pool* instance = nullptr;
    static inline bool forked = false;
#ifndef _WIN32  // where nothing forks
    static inline const int watched = pthread_atfork(nullptr, nullptr, [] {
        instance = nullptr;
        forked = true;
    });
#endif

    struct Work {
        const std::function<void(Count, unsigned)>& task;
        const Count items;
        std::atomic<Count> next{0};
        std::atomic<unsigned> joined{0};

        void share(unsigned thread) {
            for (Count item; (item = next.fetch_add(1)) < items;) task(item, thread);
        }
    };

    static void join(void* data) {
        auto& work = *static_cast<Work*>(data);
        work.share(work.joined.fetch_add(1));
    }

    void serve(unsigned thread) {
        std::uint64_t seen = 0;
        for (;;) {
            for (int i = 0; i < kSpins && generation_.load(std::memory_order_acquire) == seen; ++i)
                pause();
            std::unique_lock<std::mutex> lock(state_);
            wake_.wait(lock, [&] { return generation_.load() != seen; });
            seen = generation_.load();
            if (!work_ || thread >= wanted_) continue;
            Work& work = *work_;
            ++running_;
            lock.unlock();
            work.share(thread);
            lock.lock();
            if (--running_ == 0) done_.notify_one();
        }
    }

    static void pause() {
#if defined(__x86_64__)
        __builtin_ia32_pause();
#endif
    }

    static constexpr int kSpins = 2000;  // some 20 µs: the next layer often follows at once

    const Team team_ = forked ? nullptr : torch_team();  // its threads do not fork either
    std::mutex owner_, state_;
    std::condition_variable wake_, done_;
    std::atomic<std::uint64_t> generation_{0};
    Work* work_ = nullptr;
    unsigned wanted_ = 0, running_ = 0, started_ = 0;
};

}  // namespace raiw
