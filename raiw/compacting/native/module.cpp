// Python binding of the sparse layers: reads the arguments, and runs one.
#include <new>
#include <stdexcept>
#include <system_error>

#include "../../kernels/native/adapter.hpp"
#include "sparse.hpp"

namespace {

using namespace raiw;

struct Float {
    using Value = float;
    static constexpr const char *name = "float32", *codes = "f";
};
struct Index {
    using Value = std::int32_t;
    static constexpr const char *name = "int32", *codes = "il";
};

constexpr const char* kPattern = "raiw.compacting.pattern";
constexpr Count kMost = Count{1} << 40;

void free_pattern(PyObject* capsule) {
    delete static_cast<Pattern*>(PyCapsule_GetPointer(capsule, kPattern));
}

// pattern(starts, channels, inputs): what is checked here is not checked again.
PyObject* pattern(Arguments& given) {
    const auto starts = given.line<Whole>("starts");
    const auto channels = given.line<Index>("channels");
    const Count inputs = given.whole("inputs", 1, Arguments::kMostVertices);
    if (starts.length < 2 || starts.values[0] != 0 ||
        starts.values[starts.length - 1] != static_cast<Count>(channels.length))
        refuse(PyExc_ValueError, "starts goes from 0 to %zu channels, for at least one group",
               channels.length);
    for (std::size_t g = 1; g < starts.length; ++g)
        if (starts.values[g] < starts.values[g - 1])
            refuse(PyExc_ValueError, "starts falls at %zu: it must ascend", g);
    for (std::size_t i = 0; i < channels.length; ++i)
        if (channels.values[i] < 0 || channels.values[i] >= inputs)
            refuse(PyExc_ValueError, "channels holds %d at %zu: 0 to %lld is wanted",
                   channels.values[i], i, static_cast<long long>(inputs - 1));
    Pattern* made = nullptr;
    given.run([&] {
        made = new Pattern{{starts.values, starts.values + starts.length},
                           {channels.values, channels.values + channels.length},
                           inputs};
    });
    PyObject* capsule = PyCapsule_New(made, kPattern, free_pattern);
    if (!capsule) {
        delete made;
        throw Refused{};
    }
    return capsule;
}

Count product(std::initializer_list<Count> factors) {
    Count all = 1;
    for (const Count factor : factors)
        if (__builtin_mul_overflow(all, factor, &all) || all > kMost)
            refuse(PyExc_ValueError, "the layer is too large: at most %lld numbers are wanted",
                   static_cast<long long>(kMost));
    return all;
}

// Six numbers an axis: in, out, taps, stride, padding, dilation.
Problem problem_of(Count batch, Count channels, Line<const std::int64_t> geometry) {
    Problem problem{batch, channels, {}};
    for (int a = 0; a < 3; ++a) {
        const std::int64_t* n = geometry.values + 6 * a;
        const Axis axis{n[0], n[1], n[2], n[3], n[4], n[5]};
        for (int i = 0; i < 6; ++i)
            if (n[i] < (i != 4) || n[i] > Arguments::kMostVertices)
                refuse(PyExc_ValueError, "geometry holds %lld at %d: %d to %zd is wanted",
                       static_cast<long long>(n[i]), 6 * a + i, int{i != 4},
                       Arguments::kMostVertices);
        const Count reach = (axis.out - 1) * axis.stride + (axis.taps - 1) * axis.dilation + 1;
        if (reach > axis.in + 2 * axis.padding)
            refuse(PyExc_ValueError, "axis %d reads %lld places: it has %lld", a,
                   static_cast<long long>(reach),
                   static_cast<long long>(axis.in + 2 * axis.padding));
        problem.axes[a] = axis;
    }
    return problem;
}

// run(pattern, weights, scales, biases, rectify, pool, inputs, batch, geometry, shared, threads,
//     lanes, outputs)
PyObject* run(Arguments& given) {
    const auto& pattern = given.held_by<Pattern>("pattern", kPattern);
    const auto weights = given.numbers<Float>("weights"), scales = given.line<Float>("scales"),
               biases = given.line<Float>("biases");
    const bool rectify = given.truth("rectify");
    const Count pool = given.whole("pool", 1, 64);
    const auto inputs = given.numbers<Float>("inputs");
    const Count batch = given.whole("batch", 1, Arguments::kMostVertices);
    Problem problem =
        problem_of(batch, pattern.inputs, given.line<Whole>("geometry", 18));
    const auto shared = static_cast<int>(given.whole("shared", 1, 8));
    const auto threads = static_cast<unsigned>(given.whole("threads", 1, 256));
    const Count lanes = given.whole("lanes", 1, 64);
    if (shared & (shared - 1)) refuse(PyExc_ValueError, "shared is %d: 1, 2, 4 or 8", shared);
    const auto require = [](const char* name, std::size_t length, Count wanted) {
        if (static_cast<Count>(length) != wanted)
            refuse(PyExc_ValueError, "%s has %zu numbers: %lld are wanted", name, length,
                   static_cast<long long>(wanted));
    };
    const auto& axes = problem.axes;
    const Count taps = product({axes[0].taps, axes[1].taps, axes[2].taps});
    problem.pool = pool;
    if (pool > 1 && (axes[0].out > 1 || axes[1].out < pool || axes[2].out < pool))
        refuse(PyExc_ValueError, "pool is %lld: outputs of two axes, no shorter, are wanted",
               static_cast<long long>(pool));
    const Count out = pattern.groups() * shared;
    require("weights", weights.length,
            product({static_cast<Count>(pattern.channels.size()), taps, shared}));
    if (scales.length) require("scales", scales.length, out);
    if (biases.length) require("biases", biases.length, out);
    require("inputs", inputs.length,
            product({batch, problem.channels, axes[0].in, axes[1].in, axes[2].in}));
    const Count places = product({batch, out, axes[0].out, axes[1].out, axes[2].out}) /
                         problem.outputs() * problem.places();
    const auto outputs = given.written_numbers<Float>("outputs");
    require("outputs", outputs.length, places);
    given.run([&] {
        const Layer layer{pattern,
                          weights.values,
                          scales.length ? scales.values : nullptr,
                          biases.length ? biases.values : nullptr,
                          shared,
                          rectify};
        Sparse(layer, problem, inputs.values, outputs.values, tiles_of(lanes)).run(threads);
    });
    return Py_NewRef(Py_None);
}

template <PyObject* (*function)(Arguments&)>
PyObject* call(PyObject*, PyObject* tuple) {
    try {
        Arguments given(tuple);
        return function(given);
    } catch (const Refused&) {
        return nullptr;
    } catch (const std::bad_alloc&) {
        return PyErr_NoMemory();
    }
}

PyMethodDef kMethods[] = {
    {"pattern", call<pattern>, METH_VARARGS, nullptr},
    {"run", call<run>, METH_VARARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

PyModuleDef kModule = {PyModuleDef_HEAD_INIT, "raiw.compacting.compiled", nullptr, 0, kMethods,
                       nullptr,               nullptr,                 nullptr, nullptr};

}  // namespace

PyMODINIT_FUNC PyInit_compiled() { return PyModuleDef_Init(&kModule); }
