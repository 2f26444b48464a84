#pragma once
#include <stdexcept>
#include <string>

// Thrown in the library, caught in the program: works only where both use one
// libstdc++ and libgcc_s.
struct NoName : std::runtime_error {
  explicit NoName(const std::string &what);
  ~NoName() override;
};

std::string greet(const std::string &name);
