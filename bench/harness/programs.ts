// Programs that measure themselves: tables and verdicts from the figures they print.

import { number, range, ratio } from './format.js'
import { pairedRatios, spreadOf, type Timed } from './statistics.js'
import { outcomeOf } from './summary.js'
import type { TextTable } from './tables.js'

export interface Group {
  id: string
  title: string
  /** Key in the JSON of a program: head of the column. */
  figures: Record<string, string>
  /** Name: command. */
  programs: Record<string, string[]>
  /** Ratios are taken against this program, of these figures. */
  reference?: string
  ratioOf?: string[]
  targets?: ProgramTarget[]
}

export interface ProgramTarget {
  program: string
  figure: string
  /** Another program's figure of this name, or another figure of the same program. */
  against: string
  atMost: number
}

export interface Run {
  group: string
  program: string
  round: number
  figures: Record<string, number>
}

function timed(runs: Run[], group: Group, program: string, figure: string): Timed[] {
  return runs
    .filter((run) => run.group === group.id && run.program === program)
    .map((run) => ({ round: run.round, value: run.figures[figure] }))
}

export function programTable(group: Group, runs: Run[]): TextTable {
  const { reference, ratioOf = [] } = group
  return {
    head: [
      'program',
      ...Object.values(group.figures).flatMap((head) => [head, 'min – max']),
      ...ratioOf.map((figure) => `${group.figures[figure]} : ${String(reference)}`),
    ],
    rows: Object.keys(group.programs).map((program) => [
      program,
      ...Object.keys(group.figures).flatMap((figure) => {
        const spread = spreadOf(timed(runs, group, program, figure).map((t) => t.value))
        return [number(spread.median), range(spread, number)]
      }),
      ...ratioOf.map((figure) => {
        const against = timed(runs, group, reference!, figure)
        return ratio(spreadOf(pairedRatios(timed(runs, group, program, figure), against)).median)
      }),
    ]),
  }
}

export function programTargets(groups: Group[], runs: Run[]): TextTable {
  const rows = groups.flatMap((group) =>
    (group.targets ?? []).map(({ program, figure, against, atMost }) => {
      const other = against in group.programs
      const ratios = pairedRatios(
        timed(runs, group, program, figure),
        other ? timed(runs, group, against, figure) : timed(runs, group, program, against),
      )
      const spread = spreadOf(ratios)
      return [
        `${program} : ${against}, ${group.figures[figure]}`,
        group.title,
        `≤ ${ratio(atMost)}`,
        ratio(spread.median),
        range(spread, ratio),
        String(spread.count),
        outcomeOf(ratios, atMost),
      ]
    }),
  )
  return {
    head: ['target', 'load', 'at most', 'median', 'min – max', 'rounds', 'verdict'],
    rows,
  }
}
