// Threads that wait for work between calls, because starting one takes as long as a small layer.
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
        if (!instance()) {
#ifndef _WIN32  // where nothing forks
            static const int once = pthread_atfork(nullptr, nullptr, [] { instance() = nullptr; });
            (void)once;
#endif
            instance() = new Pool;  // never deleted: its threads may outlast every static object
        }
        return *instance();
    }

    std::mutex& owner() { return owner_; }

    // Makes sure of so many threads, the caller's included, and of a workspace for each.
    unsigned prepare(unsigned threads) {
        while (workspaces.size() < threads + 1u) workspaces.emplace_back();
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
        if (threads < 2 || items < 2) {
            for (Count item = 0; item < items; ++item) task(item, 0);
            return;
        }
        {
            const std::lock_guard<std::mutex> lock(state_);
            task_ = &task;
            items_ = items;
            next_ = 0;
            wanted_ = threads;
            generation_.fetch_add(1, std::memory_order_release);
        }
        wake_.notify_all();
        work(task, items, 0);
        std::unique_lock<std::mutex> lock(state_);
        task_ = nullptr;  // who wakes up only now finds nothing to do
        done_.wait(lock, [this] { return running_ == 0; });
    }

    std::vector<Workspace> workspaces;  // the last is shared by all threads

private:
    static Pool*& instance() {
        static Pool* pool = nullptr;
        return pool;
    }

    void work(const std::function<void(Count, unsigned)>& task, Count items, unsigned thread) {
        for (Count item; (item = next_.fetch_add(1)) < items;) task(item, thread);
    }

    void serve(unsigned thread) {
        std::uint64_t seen = 0;
        for (;;) {
            for (int i = 0; i < kSpins && generation_.load(std::memory_order_acquire) == seen; ++i)
                pause();
            std::unique_lock<std::mutex> lock(state_);
            wake_.wait(lock, [&] { return generation_.load() != seen; });
            seen = generation_.load();
            if (!task_ || thread >= wanted_) continue;
            const auto& task = *task_;
            const Count items = items_;
            ++running_;
            lock.unlock();
            work(task, items, thread);
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

    std::mutex owner_, state_;
    std::condition_variable wake_, done_;
    std::atomic<std::uint64_t> generation_{0};
    std::atomic<Count> next_{0};
    const std::function<void(Count, unsigned)>* task_ = nullptr;
    Count items_ = 0;
    unsigned wanted_ = 0, running_ = 0, started_ = 0;
};

}  // namespace raiw
