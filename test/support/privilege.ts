/** Root passes every permission: what is about permissions is done as nobody. */
const NOBODY = 65_534

/** Calls `use` with the rights of nobody. The tests run as root, as the fixtures do. */
export async function asNobody<T>(use: () => Promise<T> | T): Promise<T> {
  if (process.getuid?.() !== 0) return use()
  const groups = process.getgroups!()
  process.setgroups!([])
  process.setegid!(NOBODY)
  process.seteuid!(NOBODY)
  try {
    return await use()
  } finally {
    process.seteuid!(0)
    process.setegid!(0)
    process.setgroups!(groups)
  }
}
