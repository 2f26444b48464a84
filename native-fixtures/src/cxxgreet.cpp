#include "cxxgreet.hpp"

NoName::NoName(const std::string &what) : std::runtime_error(what) {}
NoName::~NoName() = default;

std::string greet(const std::string &name) {
  if (name.empty()) throw NoName("greet: no name");
  return "hello, " + name;
}
