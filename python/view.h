// SPDX-License-Identifier: Apache-2.0
// Python's view of mapped memory, by the buffer protocol: what it points to stays mapped until it is released.
#pragma once

#include <pybind11/pybind11.h>

#include <exception>
#include <memory>
#include <string>
#include <utility>

#include "python/session.h"

namespace rk::python {

// Runs `call` without the interpreter's lock. No destructor takes the lock back: at the interpreter's end Python ends a
// thread that asks for it by unwinding its stack, which a destructor would turn into std::terminate.
template <class Call>
void without_lock(Call&& call) {
  std::exception_ptr failure;
  PyThreadState* const state = PyEval_SaveThread();
  try {
    std::forward<Call>(call)();
  } catch (const std::exception&) {
    failure = std::current_exception();
  }
  PyEval_RestoreThread(state);
  if (failure) std::rethrow_exception(failure);
}

// No view is given from now on. The memory goes now or, while views are in use, with the last of them.
void end(Memory& memory);

// A memoryview of a section.
pybind11::object view(const std::shared_ptr<Memory>& memory, const std::string& section);

// Makes the type of the object behind these memoryviews; once, before the first.
void make_view_type();

}  // namespace rk::python
