// Python binding of the crafting kernels. Arrays come in through the buffer protocol; shapes and
// values were checked by the caller. Every kernel runs without the GIL.
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>

#include <exception>
#include <new>

#include "completion.hpp"
#include "greedy.hpp"
#include "pricing.hpp"
#include "random_graphs.hpp"
#include "ranking.hpp"
#include "settling.hpp"
#include "sums.hpp"
#include "transposable.hpp"

namespace {

using namespace raiw;

class Buffer {
public:
    ~Buffer() { PyBuffer_Release(&view); }
    Py_buffer view{};

    template <class T>
    T* cells() const {
        return static_cast<T*>(view.buf);
    }
    bool is_double() const { return view.itemsize == sizeof(double); }
    // Scores of 16 bits are read as float: format `e` is binary16, `H` holds bfloat16.
    template <class T>
    Scores<T> scores() {
        const auto columns = static_cast<std::size_t>(view.shape[1]);
        Stored stored = Stored::own_type;
        if (view.itemsize == sizeof(std::uint16_t)) {
            stored = *view.format == 'e' ? Stored::half : Stored::brain;
            wide_.resize(columns);
        }
        return {view.buf, rows(), columns, stored, wide_.data()};
    }
    Bits bits(Py_ssize_t columns) const {
        return {static_cast<std::uint8_t*>(view.buf), rows(), static_cast<std::size_t>(columns),
                static_cast<std::size_t>(view.shape[1])};
    }

private:
    std::size_t rows() const { return static_cast<std::size_t>(view.shape[0]); }
    std::vector<float> wide_;
};

// Runs a kernel without the GIL; returns whether it ended well, else sets a Python error.
template <class Kernel>
bool run(Kernel kernel) {
    bool out_of_memory = false;
    PyThreadState* state = PyEval_SaveThread();
    try {
        kernel();
    } catch (const std::bad_alloc&) {
        out_of_memory = true;
    }
    PyEval_RestoreThread(state);
    if (out_of_memory) PyErr_NoMemory();
    return !out_of_memory;
}

template <class T>
void greedy(Scores<T> scores, Bits graph, std::int64_t edges) {
    const bool narrow = sizeof(T) == sizeof(float) &&
                        std::max(graph.rows, graph.columns) <= Narrow::kMostVertices;
    if constexpr (sizeof(T) == sizeof(float)) {
        if (narrow) return Greedy<T, Narrow>(scores, graph, edges).run();
    }
    Greedy<T, Wide>(scores, graph, edges).run();
}

template <class T>
void transposable(Scores<T> scores, Bits graph, int m, int n) {
    Transposable block(m, n);
    for (Vertex row = 0; row < graph.rows; row += static_cast<Vertex>(m))
        for (Vertex column = 0; column < graph.columns; column += static_cast<Vertex>(m))
            block.solve(scores, graph, row, column);
}

constexpr int kRead = PyBUF_ND | PyBUF_FORMAT, kWrite = PyBUF_ND | PyBUF_FORMAT | PyBUF_WRITABLE;

PyObject* py_greedy(PyObject*, PyObject* args) {
    Buffer scores, bits;
    PyObject *scores_array, *bits_array;
    long long edges;
    if (!PyArg_ParseTuple(args, "OOL", &scores_array, &bits_array, &edges) ||
        PyObject_GetBuffer(scores_array, &scores.view, kRead) < 0 ||
        PyObject_GetBuffer(bits_array, &bits.view, kWrite) < 0)
        return nullptr;
    const Bits graph = bits.bits(scores.view.shape[1]);
    const bool done = run([&] {
        scores.is_double() ? greedy(scores.scores<double>(), graph, edges)
                           : greedy(scores.scores<float>(), graph, edges);
    });
    return done ? Py_NewRef(Py_None) : nullptr;
}

PyObject* py_complete(PyObject*, PyObject* args) {
    Buffer scores, bits;
    PyObject *scores_array, *bits_array;
    long long edges;
    if (!PyArg_ParseTuple(args, "OOL", &scores_array, &bits_array, &edges) ||
        PyObject_GetBuffer(scores_array, &scores.view, kRead) < 0 ||
        PyObject_GetBuffer(bits_array, &bits.view, kWrite) < 0)
        return nullptr;
    const Bits graph = bits.bits(scores.view.shape[1]);
    std::int64_t swaps = 0;
    const bool done = run([&] {
        swaps = scores.is_double()
                    ? Completion<double>(scores.scores<double>(), graph, edges).run()
                    : Completion<float>(scores.scores<float>(), graph, edges).run();
    });
    return done ? PyLong_FromLongLong(swaps) : nullptr;
}

PyObject* py_regular(PyObject*, PyObject* args) {
    Buffer bits;
    PyObject* bits_array;
    Py_ssize_t columns;
    long long edges;
    unsigned long long key;
    if (!PyArg_ParseTuple(args, "OnLK", &bits_array, &columns, &edges, &key) ||
        PyObject_GetBuffer(bits_array, &bits.view, kWrite) < 0)
        return nullptr;
    const bool done = run([&] { RegularGraph(bits.bits(columns), key).build(edges); });
    return done ? Py_NewRef(Py_None) : nullptr;
}

PyObject* py_uniform(PyObject*, PyObject* args) {
    Buffer bits;
    PyObject* bits_array;
    Py_ssize_t columns;
    long long edges;
    unsigned long long key;
    if (!PyArg_ParseTuple(args, "OnLK", &bits_array, &columns, &edges, &key) ||
        PyObject_GetBuffer(bits_array, &bits.view, kWrite) < 0)
        return nullptr;
    const bool done = run([&] { draw_edges(bits.bits(columns), edges, key); });
    return done ? Py_NewRef(Py_None) : nullptr;
}

PyObject* py_add_kept(PyObject*, PyObject* args) {
    Buffer scores, bits, bins;
    PyObject *scores_array, *bits_array, *bins_array;
    if (!PyArg_ParseTuple(args, "OOO", &scores_array, &bits_array, &bins_array) ||
        PyObject_GetBuffer(scores_array, &scores.view, kRead) < 0 ||
        PyObject_GetBuffer(bits_array, &bits.view, kRead) < 0 ||
        PyObject_GetBuffer(bins_array, &bins.view, kWrite) < 0)
        return nullptr;
    const Bits graph = bits.bits(scores.view.shape[1]);
    auto* sums = static_cast<std::int64_t*>(bins.view.buf);
    const bool done = run([&] {
        scores.is_double() ? add_kept(scores.scores<double>(), graph, sums)
                           : add_kept(scores.scores<float>(), graph, sums);
    });
    return done ? Py_NewRef(Py_None) : nullptr;
}

// Calls kernel(PricedScores) without the GIL, with scores of the type the buffer holds.
template <class Kernel>
bool run_priced(Buffer& scores, const Buffer& out, const Buffer& ins, Kernel kernel) {
    return run([&] {
        const double *out_prices = out.cells<double>(), *in_prices = ins.cells<double>();
        scores.is_double()
            ? kernel(PricedScores<double>{scores.scores<double>(), out_prices, in_prices})
            : kernel(PricedScores<float>{scores.scores<float>(), out_prices, in_prices});
    });
}

PyObject* py_add_reduced(PyObject*, PyObject* args) {
    Buffer scores, out, ins, bins;
    PyObject* arrays[4];
    if (!PyArg_ParseTuple(args, "OOOO", &arrays[0], &arrays[1], &arrays[2], &arrays[3]) ||
        PyObject_GetBuffer(arrays[0], &scores.view, kRead) < 0 ||
        PyObject_GetBuffer(arrays[1], &out.view, kRead) < 0 ||
        PyObject_GetBuffer(arrays[2], &ins.view, kRead) < 0 ||
        PyObject_GetBuffer(arrays[3], &bins.view, kWrite) < 0)
        return nullptr;
    auto* sums = bins.cells<std::int64_t>();
    const bool done = run_priced(scores, out, ins, [&](auto priced) { add_reduced(priced, sums); });
    return done ? Py_NewRef(Py_None) : nullptr;
}

PyObject* py_mark_above(PyObject*, PyObject* args) {
    Buffer scores, out, ins, bits;
    PyObject* arrays[4];
    double line;
    if (!PyArg_ParseTuple(args, "OOOdO", &arrays[0], &arrays[1], &arrays[2], &line, &arrays[3]) ||
        PyObject_GetBuffer(arrays[0], &scores.view, kRead) < 0 ||
        PyObject_GetBuffer(arrays[1], &out.view, kRead) < 0 ||
        PyObject_GetBuffer(arrays[2], &ins.view, kRead) < 0 ||
        PyObject_GetBuffer(arrays[3], &bits.view, kWrite) < 0)
        return nullptr;
    const Bits graph = bits.bits(scores.view.shape[1]);
    std::int64_t found = 0;
    const bool done = run_priced(scores, out, ins,
                                 [&](auto priced) { found = mark_above(priced, line, graph); });
    return done ? PyLong_FromLongLong(found) : nullptr;
}

PyObject* py_mark_best(PyObject*, PyObject* args) {
    Buffer scores, out, ins, out_lines, in_lines, bits;
    PyObject* arrays[6];
    if (!PyArg_ParseTuple(args, "OOOOOO", &arrays[0], &arrays[1], &arrays[2], &arrays[3],
                          &arrays[4], &arrays[5]) ||
        PyObject_GetBuffer(arrays[0], &scores.view, kRead) < 0 ||
        PyObject_GetBuffer(arrays[1], &out.view, kRead) < 0 ||
        PyObject_GetBuffer(arrays[2], &ins.view, kRead) < 0 ||
        PyObject_GetBuffer(arrays[3], &out_lines.view, kRead) < 0 ||
        PyObject_GetBuffer(arrays[4], &in_lines.view, kRead) < 0 ||
        PyObject_GetBuffer(arrays[5], &bits.view, kWrite) < 0)
        return nullptr;
    const Bits graph = bits.bits(scores.view.shape[1]);
    const bool done = run_priced(scores, out, ins, [&](auto priced) {
        mark_best(priced, out_lines.cells<double>(), in_lines.cells<double>(), graph);
    });
    return done ? Py_NewRef(Py_None) : nullptr;
}

PyObject* py_finite_range(PyObject*, PyObject* scores_array) {
    Buffer scores;
    if (PyObject_GetBuffer(scores_array, &scores.view, kRead) < 0) return nullptr;
    double lowest = 0, highest = 0;
    const bool done = run([&] {
        scores.is_double() ? finite_range(scores.scores<double>(), &lowest, &highest)
                           : finite_range(scores.scores<float>(), &lowest, &highest);
    });
    return done ? Py_BuildValue("dd", lowest, highest) : nullptr;
}

PyObject* py_find_bad(PyObject*, PyObject* args) {
    Buffer scores;
    PyObject* scores_array;
    int finite;
    if (!PyArg_ParseTuple(args, "Op", &scores_array, &finite) ||
        PyObject_GetBuffer(scores_array, &scores.view, kRead) < 0)
        return nullptr;
    std::int64_t place = -1;
    const bool done = run([&] {
        place = scores.is_double() ? find_bad(scores.scores<double>(), finite)
                                   : find_bad(scores.scores<float>(), finite);
    });
    return done ? PyLong_FromLongLong(place) : nullptr;
}

PyObject* py_rank(PyObject* args, bool by_row) {
    Buffer scores, prices, hints, ranked;
    PyObject *scores_array, *prices_array, *hints_array, *ranked_array;
    Py_ssize_t k;
    if (!PyArg_ParseTuple(args, "OOOnO", &scores_array, &prices_array, &hints_array, &k,
                          &ranked_array) ||
        PyObject_GetBuffer(scores_array, &scores.view, kRead) < 0 ||
        PyObject_GetBuffer(prices_array, &prices.view, kRead) < 0 ||
        PyObject_GetBuffer(hints_array, &hints.view, kRead) < 0 ||
        PyObject_GetBuffer(ranked_array, &ranked.view, kWrite) < 0)
        return nullptr;
    const Ranking ranking{static_cast<std::size_t>(k),
                          static_cast<std::size_t>(ranked.view.shape[1]), hints.cells<double>(),
                          ranked.cells<double>()};
    const auto rank = [&](auto cells) {
        by_row ? rank_rows(cells, prices.cells<double>(), ranking)
               : rank_columns(cells, prices.cells<double>(), ranking);
    };
    const bool done = run([&] {
        scores.is_double() ? rank(scores.scores<double>()) : rank(scores.scores<float>());
    });
    return done ? Py_NewRef(Py_None) : nullptr;
}

PyObject* py_rank_rows(PyObject*, PyObject* args) { return py_rank(args, true); }

PyObject* py_rank_columns(PyObject*, PyObject* args) { return py_rank(args, false); }

PyObject* py_settle(PyObject*, PyObject* args) {
    Buffer starts, columns, scores, kept, out_above, in_above, out_prices, in_prices;
    PyObject* arrays[8];
    double tolerance;
    long long rounds;
    if (!PyArg_ParseTuple(args, "OOOOOOOOdL", &arrays[0], &arrays[1], &arrays[2], &arrays[3],
                          &arrays[4], &arrays[5], &arrays[6], &arrays[7], &tolerance, &rounds) ||
        PyObject_GetBuffer(arrays[0], &starts.view, kRead) < 0 ||
        PyObject_GetBuffer(arrays[1], &columns.view, kRead) < 0 ||
        PyObject_GetBuffer(arrays[2], &scores.view, kRead) < 0 ||
        PyObject_GetBuffer(arrays[3], &kept.view, kRead) < 0 ||
        PyObject_GetBuffer(arrays[4], &out_above.view, kRead) < 0 ||
        PyObject_GetBuffer(arrays[5], &in_above.view, kRead) < 0 ||
        PyObject_GetBuffer(arrays[6], &out_prices.view, kWrite) < 0 ||
        PyObject_GetBuffer(arrays[7], &in_prices.view, kWrite) < 0)
        return nullptr;
    const PricedArcs arcs{starts.cells<std::int64_t>(),
                          columns.cells<std::int64_t>(),
                          scores.cells<double>(),
                          kept.cells<std::uint8_t>(),
                          static_cast<std::size_t>(out_prices.view.shape[0]),
                          static_cast<std::size_t>(in_prices.view.shape[0]),
                          out_above.cells<std::uint8_t>(),
                          in_above.cells<std::uint8_t>(),
                          out_prices.cells<double>(),
                          in_prices.cells<double>(),
                          tolerance};
    bool settled = false;
    const bool done = run([&] { settled = Settling(arcs).settle(rounds); });
    return done ? PyBool_FromLong(settled) : nullptr;
}

PyObject* py_transposable(PyObject*, PyObject* args) {
    Buffer scores, bits;
    PyObject *scores_array, *bits_array;
    int m, n;
    if (!PyArg_ParseTuple(args, "OOii", &scores_array, &bits_array, &m, &n) ||
        PyObject_GetBuffer(scores_array, &scores.view, kRead) < 0 ||
        PyObject_GetBuffer(bits_array, &bits.view, kWrite) < 0)
        return nullptr;
    const Bits graph = bits.bits(scores.view.shape[1]);
    const bool done = run([&] {
        scores.is_double() ? transposable(scores.scores<double>(), graph, m, n)
                           : transposable(scores.scores<float>(), graph, m, n);
    });
    return done ? Py_NewRef(Py_None) : nullptr;
}

PyMethodDef kMethods[] = {
    {"greedy", py_greedy, METH_VARARGS, nullptr},
    {"complete", py_complete, METH_VARARGS, nullptr},
    {"regular", py_regular, METH_VARARGS, nullptr},
    {"uniform", py_uniform, METH_VARARGS, nullptr},
    {"add_kept", py_add_kept, METH_VARARGS, nullptr},
    {"add_reduced", py_add_reduced, METH_VARARGS, nullptr},
    {"mark_above", py_mark_above, METH_VARARGS, nullptr},
    {"mark_best", py_mark_best, METH_VARARGS, nullptr},
    {"find_bad", py_find_bad, METH_VARARGS, nullptr},
    {"finite_range", py_finite_range, METH_O, nullptr},
    {"rank_rows", py_rank_rows, METH_VARARGS, nullptr},
    {"rank_columns", py_rank_columns, METH_VARARGS, nullptr},
    {"settle", py_settle, METH_VARARGS, nullptr},
    {"transposable", py_transposable, METH_VARARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

PyModuleDef kModule = {PyModuleDef_HEAD_INIT, "raiw.kernels.compiled", nullptr, 0, kMethods,
                       nullptr,               nullptr,                 nullptr, nullptr};

}  // namespace

PyMODINIT_FUNC PyInit_compiled() { return PyModuleDef_Init(&kModule); }
