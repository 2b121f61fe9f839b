// What is fanned out, as both sides know it.

export const messageBytes = 1024

export function message(round: number): Buffer {
  const bytes = Buffer.allocUnsafe(messageBytes)
  for (let i = 0; i < messageBytes; i++) bytes[i] = (round * 7 + i * 13 + (i >> 8)) & 0xff
  return bytes
}
