// Kernels by the names of their module and function, as a driver is asked for them. The kernels,
// in a namespace for each module, and `KERNELS` (a list of them) come before this file.

// Calls a kernel with arguments that are given by their addresses.
template <class... T, size_t... I>
void call(void (*kernel)(T...), void **args, std::index_sequence<I...>) {
    kernel(*(T *)args[I]...);
}
template <class... T> std::function<void()> bound(void (*kernel)(T...), void **args) {
    return [=] { call(kernel, args, std::index_sequence_for<T...>()); };
}

extern "C" int emulate(const char *module, const char *kernel, unsigned x, unsigned y, unsigned z,
                       unsigned threads, void **args) {
    std::string wanted = std::string(module) + ": " + kernel;
#define KERNEL(name, function)                                                                    \
    if (wanted == name) {                                                                          \
        launch({x, y, z}, (int)threads, bound(function, args));                                   \
        return 0;                                                                                  \
    }
    KERNELS
    return 500; // not found
}
