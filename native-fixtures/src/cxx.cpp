// Uses the parts of libstdc++ that break first when the wrong one is loaded:
// iostreams, locales, exceptions and RTTI across libraries, threads, regex.
#include "cxxgreet.hpp"

#include <atomic>
#include <iostream>
#include <locale>
#include <regex>
#include <thread>
#include <vector>

int main(int argc, char **argv) {
  std::cout.imbue(std::locale("C"));
  std::cout << greet(argc > 1 ? argv[1] : "store") << '\n';

  try {
    greet("");
    std::cout << "nothing thrown\n";
    return 1;
  } catch (const NoName &e) {
    std::cout << "caught NoName: " << e.what() << '\n';
  }

  try {
    std::locale("no_SUCH.locale");
    return 1;
  } catch (const std::runtime_error &) {
    std::cout << "caught runtime_error from libstdc++\n";
  }

  std::atomic<int> sum{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; t++)
    threads.emplace_back([&sum, t] { for (int i = 0; i < 100; i++) sum += t * 100 + i; });
  for (auto &thread : threads) thread.join();
  std::cout << "sum of 4 threads: " << sum << '\n';

  std::smatch match;
  const std::string path = "share/name-1.2.3";
  if (!std::regex_search(path, match, std::regex("([a-z]+)-([0-9.]+)$"))) return 1;
  std::cout << "regex: name " << match[1] << ", version " << match[2] << '\n';
  std::cout << "number: " << 1234.5 << ' ' << std::boolalpha << true << std::endl;
  return 0;
}
