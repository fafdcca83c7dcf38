import { count, styled } from './output.ts'

/** Days to a limit within which an operator has to act. */
const alarmingDays = 7
/** Days from which a forecast says nothing but that the limit is far away. */
const farDays = 3_650

/** Formats a rate: below ten with one decimal. */
export const rateText = (perSecond: number | undefined): string => {
  if (perSecond === undefined) return '–'
  return perSecond < 10 ? perSecond.toFixed(1) : count(Math.round(perSecond))
}

/** Formats the time until a limit is reached: red when an operator has to act. `suffix` follows the time. */
export const forecastText = (forecast: { readonly days: number } | undefined, suffix = ''): string => {
  if (forecast === undefined) return '–'
  const { days } = forecast
  const time = `${days < 10 ? days.toFixed(1) : count(Math.round(days))} days`
  const text = `${days >= farDays ? '> 10 years' : time}${suffix}`
  return days < alarmingDays ? styled('red', text) : text
}
